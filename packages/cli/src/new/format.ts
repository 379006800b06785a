import { spawnSync } from 'node:child_process'
import { join } from 'node:path'

/** Names differ in length, and with them where lines break and how imports are ordered. */
export function format(repo: string, paths: readonly string[]): void {
  const biome = join(repo, 'node_modules/.bin/biome')
  const files = paths.filter((path) => /\.(ts|json)$/.test(path))
  const { status, stdout, stderr, error } = spawnSync(biome, ['check', '--write', ...files], {
    cwd: repo,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe']
  })
  if (error !== undefined || status !== 0)
    throw new Error(`what was written does not pass biome: ${error?.message ?? `${stdout}${stderr}`}`)
}
