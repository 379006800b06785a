import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'

/** What is tested: the commit, and whether the files differ from it. `name` tells two states of the files apart. */
export type SourcesState = { commit: string; dirty: boolean; name: string }

/** The state of a checkout's sources. Files that git ignores do not count. Throws where there is no git or no commit. */
export async function stateOf(repo: string): Promise<SourcesState> {
  const git = async (...args: string[]) =>
    (await promisify(execFile)('git', args, { cwd: repo, maxBuffer: 1 << 28 })).stdout
  const commit = (await git('rev-parse', 'HEAD')).trim()
  const hash = createHash('sha256').update(await git('diff', '--binary', 'HEAD'))
  const added = (await git('ls-files', '-z', '--others', '--exclude-standard'))
    .split('\0')
    .filter((path) => path !== '')
  for (const path of added) hash.update(path).update(await readFile(join(repo, path)))
  const dirty = added.length > 0 || (await git('diff', '--name-only', 'HEAD')) !== ''
  const short = commit.slice(0, 12)
  return { commit, dirty, name: dirty ? `${short}-dirty-${hash.digest('hex').slice(0, 8)}` : short }
}
