import { join } from 'node:path'
import type { Children, Ended } from './child.ts'

/**
 * Builds tap's test class without its TypeScript plugin, which does not load with TypeScript 7. The result lies beside tap in node_modules
 * and serves all packages; two that find it missing would both build it and break each other, so it is made once, before any test.
 * What is there is asked, not remembered: a new install brings tap's own build back.
 *
 * @returns what went wrong, or undefined
 */
export async function ensureTapBuild(children: Children, repo: string): Promise<Ended | undefined> {
  const cwd = join(repo, 'packages/cli')
  const isBuilt = async () => {
    const program = `const { t } = await import('tap'); process.exitCode = /tapjs.typescript/.test(t.pluginSignature) ? 3 : 0`
    return (await children.run('node', ['--input-type=module', '-e', program], { cwd })).code === 0
  }
  if (await isBuilt()) return undefined
  const ended = await children.run('tap', ['build'], { cwd })
  if (ended.code !== 0) return ended
  return (await isBuilt()) ? undefined : { ...ended, code: 1, output: `${ended.output}\ntap does not run after its build` }
}
