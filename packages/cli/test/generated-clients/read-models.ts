import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'

/** A type of a generated client: its source, and its members' types by their names in the code. */
export type Model = { name: string; source: string; members: Map<string, string> }

const KINDS = {
  kotlin: {
    folder: 'src/main/kotlin/org/openapitools/client/models',
    type: /^data class (\w+)/m,
    member: /^ {4}val (\w+): ([^=\n]+?)(?: = null)?,?$/gm
  },
  swift6: {
    folder: 'Sources/OpenAPIClient/Models',
    type: /^public (?:final class|struct) (\w+)/m,
    member: /^ {4}public var (\w+): ([^=\n]+?)$/gm
  },
  dart: { folder: 'lib/model', type: /^class (\w+)/m, member: /^ {2}([A-Z]\w*(?:<.*>)?\??|int|num|bool) (\w+);$/gm },
  'typescript-fetch': {
    folder: 'models',
    type: /^export interface (\w+)/m,
    member: /^ {4}(\w+)\??: (.+);$/gm
  }
} as const

export type Generator = keyof typeof KINDS

/** The types that a generator made of the document's schemas, by name. Throws when two files declare one name. */
export async function readModels(generator: Generator, folder: string): Promise<Map<string, Model>> {
  const { folder: below, type, member } = KINDS[generator]
  const models = new Map<string, Model>()
  for (const file of (await readdir(join(folder, below))).sort()) {
    const source = await readFile(join(folder, below, file), 'utf8')
    const name = type.exec(source)?.[1]
    if (name === undefined) continue
    if (models.has(name)) throw new Error(`${generator}: two files declare ${name}`)
    const found = [...source.matchAll(member)].map(([, one, other]): [string, string] =>
      generator === 'dart' ? [other!, one!] : [one!, other!]
    )
    models.set(name, { name, source, members: new Map(found) })
  }
  return models
}

/** Types that hold themselves, directly or through others: `BatchBody > BatchBody`. */
export function circles(models: ReadonlyMap<string, Model>): string[] {
  const found: string[] = []
  const done = new Set<string>()
  const visit = (name: string, above: readonly string[]): void => {
    const at = above.indexOf(name)
    if (at !== -1) found.push([...above.slice(at), name].join(' > '))
    const model = models.get(name)
    if (at !== -1 || model === undefined || done.has(name)) return
    for (const type of model.members.values())
      for (const [word] of type.matchAll(/\w+\b(?!\.)/g)) visit(word, [...above, name])
    done.add(name)
  }
  for (const name of models.keys()) visit(name, [])
  return found
}

/**
 * The JSON that a Dart client sends when only `given` is set: it has no way to leave a member out, so it sends null, or what its constructor
 * sets. Throws when a member of `given` is none of the type's.
 */
export function dartBody({ name, source, members }: Model, given: Record<string, unknown>): Record<string, unknown> {
  const sent = [...new Set([...source.matchAll(/json\[r'(\w+)'\] = (?!=)/g)].map(([, member]) => member!))]
  for (const member of Object.keys(given)) if (!sent.includes(member)) throw new Error(`${name} has no ${member}`)
  return Object.fromEntries(
    sent.map((member) => {
      const preset = new RegExp(`^ {4}this\\.${member} = const ([{[])`, 'm').exec(source)?.[1]
      const isMap = members.get(member)?.startsWith('Map<') === true
      const absent = preset === undefined ? null : isMap ? {} : []
      return [member, given[member] ?? absent]
    })
  )
}
