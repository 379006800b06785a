import { checkContracts } from '../contracts/index.ts'
import { checkImports } from './check-imports.ts'
import type { Children } from './child.ts'
import { runScript } from './turbo.ts'

/** What holds for the whole repository; each counts as one in the total. `output` is shown when it failed. */
export type Check = { name: string; run(): Promise<{ ok: boolean; output: string }> }

export function listChecks(children: Children, repo: string, packages: readonly string[]): Check[] {
  const tool = async (command: string, args: string[]) => {
    const { code, output } = await children.run(command, args)
    return { ok: code === 0, output }
  }
  return [
    {
      name: 'types',
      async run() {
        const { ok, output, tasks } = await runScript(children, 'typecheck', packages)
        const failed = tasks.filter((task) => !task.ok).map((task) => `${task.package}\n${task.output}`)
        return { ok, output: failed.length > 0 ? failed.join('\n') : output }
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
