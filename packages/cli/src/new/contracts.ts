import { glob, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { StartError } from '@skerry/stores'

export const CONTRACTS_INDEX = 'packages/contracts/src/index.ts'

/** What the contracts declare so far, read from their sources: a name that is only a type is in no module at run time. */
export type Declared = {
  /** All exported names. */
  names: ReadonlySet<string>
  /** `METHOD /path` → the file that declares it. */
  routes: ReadonlyMap<string, string>
  /** `subject.vN` → the file that declares it. */
  events: ReadonlyMap<string, string>
}

export async function readContracts(repo: string): Promise<Declared> {
  const names = new Set<string>()
  const routes = new Map<string, string>()
  const events = new Map<string, string>()
  const cwd = join(repo, 'packages/contracts/src')
  for await (const path of glob('**/*.ts', { cwd })) {
    const text = await readFile(join(cwd, path), 'utf8')
    for (const [, name] of text.matchAll(/^export (?:declare )?(?:type|const|function|class|interface) (\w+)/gm))
      names.add(name!)
    for (const [, method, route] of text.matchAll(/\bmethod: '([A-Z]+)',\s+path: '([^']+)'/g))
      routes.set(`${method} ${route}`, path)
    for (const [, subject, version] of text.matchAll(/\bsubject: '([a-z.]+)',\s+version: (\d+)/g))
      events.set(`${subject}.v${version}`, path)
  }
  return { names, routes, events }
}

/** Throws when somebody declares routes at or below a prefix. */
export function assertFreePrefix(declared: Declared, prefix: string): void {
  for (const [route, file] of declared.routes) {
    const path = route.slice(route.indexOf(' ') + 1)
    if (path === prefix || path.startsWith(`${prefix}/`))
      throw new StartError(
        `the prefix ${prefix} belongs to another service: packages/contracts/src/${file} declares ${route}. Take another name`
      )
  }
}

/** The contracts' index with one more file, in order. */
export function withExport(index: string, file: string): string {
  const line = `export * from '${file}'`
  const lines = index.split('\n')
  if (lines.includes(line)) return index
  const after = lines.findIndex((other) => /^export \* from '\.\/(events|http)\//.test(other) && other > line)
  const fallback = lines.findLastIndex((other) => /^export \* from '\.\/(events|http)\//.test(other)) + 1
  lines.splice(after === -1 ? fallback : after, 0, line)
  return lines.join('\n')
}
