import { checkContracts } from '../contracts/index.ts'
import { checkImports } from './check-imports.ts'
import type { Children } from './child.ts'
import type { Package } from './packages.ts'

/** What holds for the whole repository; each counts as one in the total. `output` is shown when it failed. */
export type Check = { name: string; run(): Promise<{ ok: boolean; output: string }> }

/**
 * The checks, with the one that takes longest first.
 *
 * @param packages whose types are checked; undefined for the whole workspace in one go, by the root's tsconfig.json
 */
export function listChecks(children: Children, repo: string, packages?: readonly Package[]): Check[] {
  const tool = async (command: string, args: string[]) => {
    const { code, output } = await children.run(command, args)
    return { ok: code === 0, output }
  }
  return [
    {
      name: 'types',
      async run() {
        const all = { ok: true, output: '' }
        for (const folder of packages?.map((p) => p.folder) ?? ['.']) {
          // Each checker looks through the types of platform and packages again: the four that are usual cost half as much again as two.
          const { ok, output } = await tool('tsc', ['--noEmit', '--pretty', 'false', '--checkers', '2', '-p', folder])
          if (!ok) Object.assign(all, { ok, output: all.output + output })
        }
        return all
      }
    },
    { name: 'lint and format', run: () => tool('biome', ['check', '--max-diagnostics=200', '.']) },
    { name: 'boundaries', run: () => tool('turbo', ['boundaries']) },
    {
      name: 'imports',
      async run() {
        const faults = await checkImports(repo)
        return { ok: faults.length === 0, output: faults.join('\n') }
      }
    },
    {
      name: 'contracts',
      async run() {
        try {
          return await checkContracts(repo)
        } catch (error) {
          // Two events of one name, or a golden file that is broken, is a finding like any other.
          return { ok: false, output: (error as Error).message }
        }
      }
    }
  ]
}
