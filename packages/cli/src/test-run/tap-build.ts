import { copyFile, readdir, realpath, rename, stat } from 'node:fs/promises'
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
  await ownFiles(join(await realpath(join(repo, 'node_modules/tap')), '../@tapjs/test/test-built'))
  const ended = await children.run('tap', ['build'], { cwd })
  if (ended.code !== 0) return ended
  return (await isBuilt())
    ? undefined
    : { ...ended, code: 1, output: `${ended.output}\ntap does not run after its build` }
}

/** The build writes into files that pnpm shares by hard link with its store and so with every checkout on the disk: copies are ours. */
async function ownFiles(folder: string): Promise<void> {
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name)
    if (!entry.isFile() || (await stat(path)).nlink === 1) continue
    await copyFile(path, `${path}.own`)
    await rename(`${path}.own`, path)
  }
}
