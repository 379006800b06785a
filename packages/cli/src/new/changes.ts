import { existsSync } from 'node:fs'
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { StartError } from '@skerry/stores'

/** What a command is about to do to the workspace, by path from its root. All of it happens, or nothing. */
export type Changes = {
  /** Files that are not there yet. */
  create: ReadonlyMap<string, string>
  /** Files that are, with their new text. */
  edit: ReadonlyMap<string, string>
}

/**
 * Writes changes and then does `after`; when either fails, all is as it was before, and the fault is thrown.
 *
 * @param keep other files that `after` changes, which a failure puts back
 */
export async function applyChanges(
  repo: string,
  { create, edit }: Changes,
  after: () => Promise<void>,
  keep: readonly string[] = []
): Promise<void> {
  for (const path of create.keys())
    if (existsSync(join(repo, path))) throw new StartError(`${path} exists: nothing was written`)
  const before = new Map<string, string>()
  for (const path of [...edit.keys(), ...keep]) before.set(path, await readFile(join(repo, path), 'utf8'))
  const made: string[] = []
  try {
    for (const [path, text] of create) {
      const folder = await mkdir(dirname(join(repo, path)), { recursive: true })
      // The first folder that was not there, with all that is in it.
      made.push(folder ?? join(repo, path))
      await writeFile(join(repo, path), text, { flag: 'wx' })
    }
    for (const [path, text] of edit) await writeFile(join(repo, path), text)
    await after()
  } catch (error) {
    for (const path of made) await rm(path, { recursive: true, force: true })
    for (const [path, text] of before) await writeFile(join(repo, path), text)
    throw error
  }
}
