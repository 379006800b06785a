import { spawn } from 'node:child_process'
import { copyFile, mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { StartError } from '@skerry/stores'

const PINNED = join(import.meta.dirname, 'stryker')
const LOCK = 'package-lock.json'

/**
 * Sees that the pinned Stryker lies in `folder`, fetched with npm on first use.
 * @returns the path of its command
 */
export async function installStryker(folder: string, say: (line: string) => void): Promise<string> {
  const command = join(folder, 'node_modules/@stryker-mutator/core/bin/stryker.js')
  const done = join(folder, 'installed.json')
  const wanted = await readFile(join(PINNED, LOCK), 'utf8')
  if ((await readFile(done, 'utf8').catch(missing)) === wanted) return command
  say(`Installing StrykerJS with npm in ${folder} (61 MB, once)`)
  await mkdir(folder, { recursive: true })
  for (const file of ['package.json', LOCK]) await copyFile(join(PINNED, file), join(folder, file))
  await npmCi(folder)
  await copyFile(join(PINNED, LOCK), done)
  return command
}

function missing(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw error
}

function npmCi(folder: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'], {
      cwd: folder,
      stdio: ['ignore', 'ignore', 'inherit']
    })
    child.on('error', reject)
    child.on('close', (code) =>
      code === 0 ? resolve() : reject(new StartError(`StrykerJS could not be installed: npm ci ended with ${code}`))
    )
  })
}
