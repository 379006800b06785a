// Runs a scenario with the built SDK in a realm of a platform: node --experimental-vm-modules run.ts <dist> <platform> <base URL>
import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join, resolve } from 'node:path'
import { type Module, SourceTextModule } from 'node:vm'
import { type Platform, platformContext } from './globals.ts'
import { SCENARIO } from './scenario.ts'

const [dist = '', platform = '', base = ''] = process.argv.slice(2)
const reports: unknown[] = []
const context = platformContext(platform as Platform, { BASE: base, report: (what: unknown) => reports.push(what) })
const typebox = createRequire(import.meta.url).resolve('typebox')
const modules = new Map<string, Module>()
/** Syntax that Safari before 16.4 cannot read, so that nothing of the file would run. */
const UNREADABLE = /\(\?<[=!]|\bstatic \{/

async function load(file: string): Promise<Module> {
  const known = modules.get(file)
  if (known !== undefined) return known
  const source = await readFile(file, 'utf8')
  if (UNREADABLE.test(source)) throw new Error(`${file} has syntax that old Safari cannot read`)
  const again = modules.get(file)
  if (again !== undefined) return again
  const made = new SourceTextModule(source, { context, identifier: file })
  modules.set(file, made)
  return made
}

const link = (specifier: string, { identifier }: Module) =>
  load(
    specifier === '@skerry/sdk'
      ? join(dist, 'sdk/src/index.js')
      : specifier === 'typebox'
        ? typebox
        : resolve(dirname(identifier), specifier)
  )
const scenario = new SourceTextModule(SCENARIO, { context, identifier: join(dist, 'scenario.js') })
await scenario.link(link)
await scenario.evaluate()
console.log(JSON.stringify(reports))
process.exit(0)
