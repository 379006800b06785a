import { execFile } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { binCache } from '@skerry/testing'

const run = promisify(execFile)

/** A folder of Python packages for PYTHONPATH, or why there is none. */
export type PythonPackages = { folder: string } | { missing: string }

/** Fetches Python packages with pip into the cache that tests share, once for each list of them. */
export async function pythonPackages(requirements: readonly string[]): Promise<PythonPackages> {
  const version = await run('python3', [
    '-c',
    'import sys; print(sys.version_info[:2] >= (3, 9), sys.version.split()[0])'
  ]).catch((error: Error) => error)
  if (version instanceof Error) return { missing: `python3 cannot be run: ${version.message.split('\n')[0]}` }
  const [fits, name = ''] = version.stdout.trim().split(' ')
  if (fits !== 'True') return { missing: `python3 is ${name}, and 3.9 is needed` }
  const key = createHash('sha256')
    .update([name, ...requirements].join('\n'))
    .digest('hex')
    .slice(0, 16)
  const folder = join(binCache(), '../cache', `python-${key}`)
  if (existsSync(folder)) return { folder }
  // Whole or not at all: an interrupted fetch leaves nothing that the next run would take for done.
  const work = `${folder}.${randomBytes(4).toString('hex')}`
  try {
    await mkdir(work, { recursive: true })
    await run(
      'python3',
      ['-m', 'pip', 'install', '-q', '--no-input', '--disable-pip-version-check', '--target', work, ...requirements],
      {
        timeout: 180_000
      }
    )
    await rename(work, folder).catch((error: NodeJS.ErrnoException) => {
      // Another test file was quicker.
      if (!existsSync(folder)) throw error
    })
    return { folder }
  } catch (error) {
    const { stderr = '', message } = error as Error & { stderr?: string }
    return { missing: `pip cannot fetch ${requirements.join(' ')}: ${stderr.trim().split('\n').at(-1) || message}` }
  } finally {
    await rm(work, { recursive: true, force: true })
  }
}
