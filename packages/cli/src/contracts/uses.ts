import { glob, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { ownerOf, type RouteContract, sagaAnswers, wireSubject } from '@skerry/contracts'
import { type Declared, isEvent, nameOf } from '@skerry/contracts/compat'

/** Somebody who relies on a contract, and where it says so. */
export type Use = { by: string; where: string }

/** Who uses what: by an event's subject on the wire, or a route's name. */
export type Uses = ReadonlyMap<string, readonly Use[]>

const IMPORT = /^import\s+(type\s+)?\{([^}]*)\}\s+from\s+['"]@skerry\/contracts['"]/gm
const NAMESPACE = /^import\s+\*\s+as\s+(\w+)\s+from\s+['"]@skerry\/contracts['"]/gm

/**
 * Who uses the contracts, found where they are used, so that nobody has to say it twice: an app that takes an event from
 * `@skerry/contracts` for anything but to publish it consumes it; one that takes another's route calls it; the SDK speaks for all phones;
 * the gateway ends kept answers by the events that routes name in `endedBy`.
 *
 * @param module the namespace of `@skerry/contracts`, whose exports have the names that sources use
 */
export async function findUses(repo: string, module: object, declared: Declared): Promise<Uses> {
  const uses = new Map<string, Use[]>()
  const add = (contract: string, use: Use) => {
    const known = uses.get(contract) ?? []
    if (!known.some(({ by, where }) => by === use.by && where === use.where)) uses.set(contract, [...known, use])
  }
  const exported = new Map(Object.entries(module))
  const owners = new Set([...declared.events.values()].map(ownerOf))
  for await (const found of glob('{apps,packages}/*/src/**/*.ts', { cwd: repo })) {
    const path = found.replaceAll('\\', '/')
    const by = path.split('/')[1]!
    for (const { name, member, line } of usesIn(await readFile(join(repo, path), 'utf8'))) {
      const value = exported.get(name)
      const where = `${path}:${line}`
      if (isEvent(value)) add(wireSubject(value), { by, where })
      // Each service's own of a kind: an app that hears one of them hears all. What packages make of them is published.
      else if (sagaAnswers[name] !== undefined && found.startsWith('apps'))
        for (const owner of owners) {
          const subject = wireSubject(sagaAnswers[name](owner))
          if (declared.events.has(subject)) add(subject, { by, where })
        }
      else if (name.endsWith('Routes') && member !== undefined && name !== `${camel(by)}Routes`) {
        const route = (value as Record<string, RouteContract> | undefined)?.[member]
        if (route !== undefined) add(nameOf(route), { by, where })
      }
    }
  }
  for (const route of [...declared.routes.values()].flat())
    for (const [subject, tags] of Object.entries(route.cache?.endedBy ?? {}))
      for (const [wire, event] of declared.events)
        if (event.subject === subject)
          add(wire, { by: 'gateway', where: `answers of ${nameOf(route)}, which it ends by ${tags.join(', ')}` })
  return new Map([...uses].map(([contract, list]) => [contract, list.sort(byPlace)]))
}

type Found = { name: string; member: string | undefined; line: number }

/** Names imported from the contracts and used as values, by the names that they are exported under. */
export function usesIn(source: string): Found[] {
  const text = withoutComments(source)
  const names = new Map<string, string>()
  const blank = (match: string) => match.replace(/[^\n]/g, ' ')
  const body = text
    .replace(IMPORT, (match, type: string | undefined, list: string) => {
      for (const one of type === undefined ? list.split(',') : []) {
        const parts = /^\s*(\w+)(?:\s+as\s+(\w+))?\s*$/.exec(one)
        if (parts !== null) names.set(parts[2] ?? parts[1]!, parts[1]!)
      }
      return blank(match)
    })
    .replace(NAMESPACE, (match, alias: string) => {
      names.set(alias, '*')
      return blank(match)
    })
  const found: Found[] = []
  for (const [alias, name] of names)
    for (const match of body.matchAll(new RegExp(`(?<![.\\w$])${alias}\\b(?:\\.(\\w+))?(?:\\.(\\w+))?`, 'g'))) {
      const before = body.slice(0, match.index)
      // A type is no use; an event that is published is its owner's.
      if (/\btypeof\s+$/.test(before) || isPublished(before)) continue
      const line = before.split('\n').length
      found.push(name === '*' ? { name: match[1] ?? '', member: match[2], line } : { name, member: match[1], line })
    }
  return found
}

/** Whether what comes next stands within the arguments of `publish` or `publishBoth`. */
function isPublished(before: string): boolean {
  const call = [...before.matchAll(/\bpublish(?:Both)?\s*\(/g)].at(-1)
  if (call === undefined) return false
  let depth = 0
  for (const char of before.slice(call.index)) {
    if (char === '(') depth++
    else if (char === ')' && --depth === 0) return false
  }
  return true
}

/** Comments as empty lines, so that line numbers stay. */
function withoutComments(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\/|(?<=^|\s)\/\/.*$/gm, (comment) => comment.replace(/[^\n]/g, ''))
}

function camel(name: string): string {
  return name.replaceAll(/-(\w)/g, (_, letter: string) => letter.toUpperCase())
}

function byPlace(a: Use, b: Use): number {
  return a.by < b.by ? -1 : a.by > b.by ? 1 : a.where.localeCompare(b.where, 'en', { numeric: true })
}
