import { join } from 'node:path'
import { homeFolder } from '../repository.ts'
import { listChecks } from './checks.ts'
import { type Children, createChildren } from './child.ts'
import { keepDurations, longestFirst, readDurations, WEIGHTS, writeWeights } from './durations.ts'
import { chooseFiles, findTestFiles, type TestFile } from './files.ts'
import { withInterruption } from './interruption.ts'
import { choosePackages, findPackages, type Package } from './packages.ts'
import { runPool } from './pool.ts'
import { createProgress } from './progress.ts'
import { createReport, type Report } from './report.ts'
import type { FileResult } from './run-file.ts'
import { defaultJobs, runSuite } from './suite.ts'
import { ensureTapBuild } from './tap-build.ts'

export type TestRunOptions = {
  /** Root folder of the checkout. */
  repo: string
  /** What to test, all when empty: packages (`auth`, `@skerry/auth`, `apps/auth`) or test files, which run without the checks. */
  args: readonly string[]
  /** The kill tests at their full size. */
  faults: boolean
  /** How many files run at once; three for two cores when not given. */
  jobs?: number
  /** Writes what the files took into the table that fresh clones begin with. */
  weights?: boolean
}

const PROGRESS_MS = 30_000

/** What a test run is of. */
export type Selection = { packages: readonly Package[]; files: readonly TestFile[]; whole: boolean; checked: boolean }

/** What the arguments of a test run name. Throws for what is neither a package nor a test file. */
export async function select(repo: string, args: readonly string[]): Promise<Selection> {
  const isFile = (arg: string) => arg.endsWith('.test.ts')
  const all = await findPackages(repo)
  const names = args.filter((arg) => !isFile(arg))
  const paths = args.filter(isFile)
  const packages = names.length === 0 && paths.length > 0 ? [] : choosePackages(all, names)
  const ofPackages = await findTestFiles(repo, packages)
  const named = paths.length === 0 ? [] : chooseFiles(await findTestFiles(repo, all), paths)
  const files = [...new Map([...ofPackages, ...named].map((file) => [file.path, file])).values()]
  return { packages, files, whole: args.length === 0, checked: packages.length > 0 }
}

/**
 * Type-checks, lints, holds the boundaries and runs the packages' test files, longest first and three at once for two cores, against
 * real stores that are started once. Prints a line as each part ends, all that a failing file said, and at last
 * `N passed, N failed, N skipped`.
 *
 * @returns the exit code: 1 when anything failed, 130 when it was interrupted
 */
export async function runTests(options: TestRunOptions): Promise<number> {
  const { repo, jobs = defaultJobs() } = options
  const write = (text: string) => void process.stdout.write(`${text}\n`)
  let selection: Selection
  try {
    selection = await select(repo, options.args)
  } catch (error) {
    write((error as Error).message)
    return 1
  }
  const report = createReport(write, selection.files)
  const children = createChildren(repo)
  return withInterruption(report.say, async (signal) => {
    signal.addEventListener('abort', () => children.stop())
    const notBuilt = await ensureTapBuild(children, repo)
    if (notBuilt !== undefined) report.check('tap build', false, notBuilt.seconds, notBuilt.output)
    if (selection.checked) await runChecks(children, repo, selection, jobs, report, signal)
    await testFiles(selection, { ...options, jobs }, report, signal)
    return signal.aborted ? 130 : report.close()
  })
}

async function runChecks(
  children: Children,
  repo: string,
  { whole, packages }: Selection,
  jobs: number,
  report: Report,
  signal: AbortSignal
): Promise<void> {
  await runPool(listChecks(children, repo, whole ? undefined : packages), jobs, signal, async (check) => {
    const startedAt = performance.now()
    const { ok, output } = await check.run()
    if (!signal.aborted) report.check(check.name, ok, (performance.now() - startedAt) / 1000, output)
  })
}

async function testFiles(
  { files, whole }: Selection,
  { repo, faults, jobs, weights }: TestRunOptions & { jobs: number },
  report: Report,
  signal: AbortSignal
): Promise<void> {
  const kept = join(homeFolder(process.env), 'test', faults ? 'durations-faults.json' : 'durations.json')
  const durations = await readDurations(WEIGHTS, kept)
  const progress = createProgress(
    files.map((f) => f.path),
    durations,
    jobs
  )
  const startedAt = performance.now()
  const timer = setInterval(() => report.say(progress.line((performance.now() - startedAt) / 1000)), PROGRESS_MS)
  const ended: FileResult[] = []
  try {
    await runSuite(longestFirst(files, durations), {
      repo,
      jobs,
      env: faults ? { SKERRY_FAULTS: '1' } : {},
      signal,
      say: report.say,
      onFile(result) {
        ended.push(result)
        progress.ended(result.file.path)
        report.file(result)
      }
    })
  } catch (error) {
    report.fault('stores', (error as Error).message)
  } finally {
    clearInterval(timer)
  }
  await keepDurations(kept, ended)
  if (weights === true && whole && !faults && !signal.aborted) await writeWeights(WEIGHTS, ended)
}
