import { availableParallelism, totalmem } from 'node:os'
import { join } from 'node:path'
import { binCache, startTestStores } from '@skerry/testing'
import type { TestFile } from './files.ts'
import { runPool } from './pool.ts'
import { type FileResult, runFile } from './run-file.ts'

/** A file that starts a whole system takes about so much memory. */
const FILE_MEMORY = 1.5e9

/** How many files run at once: two for a core, as long as each may start a system of its own. A file waits for half of its time. */
export function defaultJobs(): number {
  return Math.max(1, Math.min(2 * availableParallelism(), Math.floor(totalmem() / FILE_MEMORY)))
}

export type SuiteOptions = {
  repo: string
  jobs: number
  /** Added to the environment of each file. */
  env?: Record<string, string>
  signal: AbortSignal
  say(line: string): void
  /** Told of each file as it ends, unless the run is being interrupted. */
  onFile?(result: FileResult): void
}

/** Runs test files in the given order on stores that are started for them and stopped after the last. Throws when the stores do not start. */
export async function runSuite(files: readonly TestFile[], options: SuiteOptions): Promise<FileResult[]> {
  if (files.length === 0 || options.signal.aborted) return []
  const { repo, jobs, signal, say, onFile } = options
  const stores = await startTestStores(say)
  try {
    const env = {
      SKERRY_TEST_STORES: JSON.stringify(stores.shared),
      SKERRY_BIN: binCache(),
      NODE_COMPILE_CACHE: join(binCache(), '../cache/node'),
      NO_COLOR: '1',
      ...options.env
    }
    return await runPool(files, jobs, signal, async (file) => {
      const result = await runFile(file, { repo, env, signal })
      if (!signal.aborted) onFile?.(result)
      return result
    })
  } finally {
    await stores.stop()
  }
}
