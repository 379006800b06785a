import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)

/**
 * What the checkout is: the commit's first twelve digits, and where files differ from it `-changed-` with a hash of the differences, since
 * what was found of other sources says nothing of these. `no-commit` where git knows nothing of the folder.
 */
export async function commitOf(repo: string): Promise<string> {
  const git = async (...args: string[]) => (await run('git', args, { cwd: repo, maxBuffer: 64 * 1024 * 1024 })).stdout
  let commit: string
  try {
    commit = (await git('rev-parse', '--short=12', 'HEAD')).trim()
  } catch {
    return 'no-commit'
  }
  const hash = createHash('sha256').update(await git('diff', 'HEAD', '--binary'))
  const others = (await git('ls-files', '--others', '--exclude-standard', '-z')).split('\0').filter(Boolean)
  for (const path of others) hash.update(path).update(await readFile(join(repo, path)))
  const clean = others.length === 0 && (await git('status', '--porcelain')) === ''
  return clean ? commit : `${commit}-changed-${hash.digest('hex').slice(0, 8)}`
}
