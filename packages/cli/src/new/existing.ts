import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { findApps, StartError } from '@skerry/stores'

/** Throws unless there is a service of that name. */
export function assertService(repo: string, name: string | undefined, usage: string): asserts name is string {
  const services = findApps(join(repo, 'apps')).filter((app) => app.kind === 'service')
  if (name === undefined) throw new StartError(`give the name of the service: ${usage}`)
  if (!services.some((app) => app.name === name))
    throw new StartError(`there is no service "${name}": there are ${services.map((app) => app.name).join(', ')}`)
}

/** Throws when a file is there already. */
export function assertAbsent(repo: string, path: string): void {
  if (existsSync(join(repo, path))) throw new StartError(`${path} exists: take another name, or delete it first`)
}

/** What is left to do where a service's round trips are kept in a table, which says then what was added; '' where they are not. */
export function tableHint(repo: string, service: string): string {
  const test = `apps/${service}/test/round-trips.test.ts`
  if (!existsSync(join(repo, test))) return ''
  return `
Have its table in docs/round-trips.md written anew (its test fails until then): SKERRY_WRITE_TABLES=1 npm test -- ${test}`
}

export const readIn = (repo: string, path: string) => readFile(join(repo, path), 'utf8')

/**
 * A source with `added` put in ahead of or behind the first match of `anchor`. Throws a line that says what to write by hand where there
 * is none.
 */
export function inserted(
  text: string,
  where: { path: string; anchor: RegExp; side: 'before' | 'after' },
  added: string
): string {
  const match = where.anchor.exec(text)
  if (match === null)
    throw new StartError(
      `${where.path} is not written as a new service is, so nothing was written. Put this in by hand:\n\n${added.trim()}`
    )
  const at = match.index + (where.side === 'after' ? match[0].length : 0)
  return text.slice(0, at) + added + text.slice(at)
}

/** A source with one more import, which the formatter then puts in its place. */
export const withImport = (text: string, line: string) => (text.includes(line) ? text : `${line}\n${text}`)
