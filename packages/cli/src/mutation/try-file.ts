import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Target } from './targets.ts'

/** One mutant as Stryker's report has it. */
export type Mutant = {
  readonly id: string
  readonly mutatorName: string
  readonly replacement: string
  readonly status: 'Killed' | 'Survived' | 'NoCoverage' | 'Timeout' | 'RuntimeError' | 'CompileError' | 'Ignored'
  readonly location: { readonly start: { readonly line: number; readonly column: number }; readonly end: unknown }
}

export type FileResult = { readonly file: string; readonly mutants: readonly Mutant[] }

export type TryOptions = {
  /** Root folder of the checkout. */
  repo: string
  /** Where results and what Stryker needs are: `mutation` of SKERRY_HOME. */
  folder: string
  stryker: string
  concurrency: number
  /** Try all mutants again rather than those of what has changed. */
  fresh: boolean
  signal: AbortSignal
}

/** Where the last result of a source is kept. */
export function resultFile(folder: string, target: Target, source: string): string {
  return join(
    folder,
    'results',
    target.name,
    source
      .replace(/^src\//, '')
      .replaceAll('/', '-')
      .replace(/\.ts$/, '.json')
  )
}

/**
 * Tries the mutants of one source; Stryker prints its progress. Results of earlier runs hold for mutants whose source and tests are the
 * same.
 * @throws Error when Stryker fails, as it does when the tests fail without any mutant
 */
export async function tryFile(target: Target, source: string, options: TryOptions): Promise<FileResult> {
  const { repo, folder, stryker, concurrency, fresh, signal } = options
  const result = resultFile(folder, target, source)
  const config = result.replace(/\.json$/, '.config.json')
  await mkdir(join(folder, 'results', target.name), { recursive: true })
  await writeFile(
    config,
    JSON.stringify({
      mutate: [source],
      testRunner: 'skerry',
      plugins: [join(import.meta.dirname, 'runner.ts')],
      skerryTests: target.tests,
      coverageAnalysis: 'perTest',
      concurrency,
      // The memory of a process grows with each run, as loaded modules are never let go.
      maxTestRunnerReuse: 100,
      incremental: true,
      incrementalFile: result,
      force: fresh,
      // Nothing is sent anywhere; the incremental file is the report.
      reporters: ['progress-append-only'],
      clearTextReporter: { allowColor: false },
      allowConsoleColors: false,
      tempDirName: join(folder, 'sandboxes'),
      // The sources run as they are; TypeScript 7 has no API that Stryker knows.
      checkers: [],
      disableTypeChecks: false,
      tsconfigFile: 'none',
      ignorePatterns: ['.tap', '.turbo', 'dist'],
      // A busy machine must not make a slow test look like an endless one.
      timeoutMS: 10_000,
      timeoutFactor: 2,
      warnings: { unknownOptions: false, slow: false },
      logLevel: 'warn'
    })
  )
  await runStryker(stryker, config, join(repo, target.package), signal)
  return { file: source, mutants: await readResult(result, source) }
}

/** What is known of a source, if anything. */
export async function knownResult(folder: string, target: Target, source: string): Promise<FileResult | undefined> {
  const file = resultFile(folder, target, source)
  return existsSync(file) ? { file: source, mutants: await readResult(file, source) } : undefined
}

async function readResult(file: string, source: string): Promise<Mutant[]> {
  const { files } = JSON.parse(await readFile(file, 'utf8')) as { files: Record<string, { mutants: Mutant[] }> }
  return files[source]?.mutants ?? []
}

function runStryker(stryker: string, config: string, cwd: string, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [stryker, 'run', config], {
      cwd,
      stdio: ['ignore', 'inherit', 'inherit'],
      signal
    })
    child.on('error', (error) => reject(signal.aborted ? signal.reason : error))
    child.on('close', (code) => (code === 0 ? resolve() : reject(new Error(`Stryker ended with ${code}: see above`))))
  })
}
