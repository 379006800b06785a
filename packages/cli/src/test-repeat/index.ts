import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { readDurations, WEIGHTS } from '../test-run/durations.ts'
import type { TestFile } from '../test-run/files.ts'
import { select } from '../test-run/index.ts'
import { newMark } from '../test-run/processes.ts'
import { createProgress, inWords } from '../test-run/progress.ts'
import { countOf, failureText } from '../test-run/report.ts'
import { runSuite } from '../test-run/suite.ts'
import { compareRuns } from './compare.ts'
import { startHog } from './hog.ts'
import { openSeries, type RunRecord, recordOf, type Series, type SeriesOptions } from './records.ts'
import { seedOf, shuffle } from './shuffle.ts'
import { missingStrace, slowFsync } from './slow-fsync.ts'
import { type SourcesState, stateOf } from './sources.ts'

export type RepeatOptions = SeriesOptions & {
  /** Root folder of the checkout. */
  repo: string
  /** SKERRY_HOME: records are kept in its folder `repeat`. */
  home: string
  runs: number
  /** How many of them, the first ones, run beside the hog. */
  hogRuns: number
  seed?: number
  /** Begin anew although such runs are recorded. */
  again: boolean
  say(line: string): void
  signal: AbortSignal
}

const PROGRESS_MS = 30_000
/** Busy processes for each core. */
const HOGS_PER_CORE = 2

/**
 * Runs the tests again and again in shuffled order, records each run, and prints what failed or differed. Runs that are recorded for this
 * state of the sources and these options are not run again.
 *
 * @returns the exit code: 1 when anything failed or differed
 */
export async function repeatTests(options: RepeatOptions): Promise<number> {
  const { repo, home, runs, hogRuns, say, signal } = options
  const { args, jobs, faults } = options
  const { files } = await select(repo, args)
  const missing = options.slowFsync ? await missingStrace() : undefined
  if (missing !== undefined) throw new Error(`--slow-fsync needs strace: ${missing}`)

  const state = await stateOf(repo)
  const series = await openSeries(
    join(home, 'repeat'),
    state,
    { args, jobs, slowFsync: options.slowFsync, faults },
    { again: options.again, ...(options.seed === undefined ? {} : { seed: options.seed }) }
  )
  say(`${runs} runs of ${files.length} files, ${state.name}, --seed ${series.seed}; records in ${series.folder}`)
  const records: RunRecord[] = []
  const startedAt = performance.now()
  for (let run = 1; run <= runs && !signal.aborted; run++) {
    const hog = run <= hogRuns
    const kept = await series.find(run, hog)
    if (kept !== undefined) {
      records.push(kept)
      say(`run ${run} of ${runs} is recorded: ${summary(kept)}`)
      continue
    }
    const elapsed = (performance.now() - startedAt) / 1000
    const left = estimate(records, runs - run + 1)
    say(`run ${run} of ${runs}${hog ? ', beside the hog' : ''}: begins after ${inWords(elapsed)}${left}`)
    const record = await runOnce(files, run, hog, series, state, options)
    if (record === undefined) break
    await series.keep(record)
    records.push(record)
    say(`run ${run} of ${runs}: ${summary(record)}`)
  }
  if (signal.aborted) return 130
  const different = compareRuns(records)
  for (const line of different) say(line)
  say(
    different.length === 0
      ? `${records.length} runs, all green and equal: ${summary(records[0]!)}`
      : `${records.length} runs: the lines above failed or differed. The same again: --seed ${series.seed} --again`
  )
  return different.length === 0 ? 0 : 1
}

/** One run; undefined when it was interrupted. */
async function runOnce(
  files: readonly TestFile[],
  run: number,
  hog: boolean,
  series: Series,
  { commit, dirty }: SourcesState,
  { repo, home, jobs, faults, slowFsync: slow, args, say, signal }: RepeatOptions
): Promise<RunRecord | undefined> {
  const runSeed = seedOf(series.seed, run)
  const options: SeriesOptions = { args, jobs, slowFsync: slow, faults }
  const record: RunRecord = {
    ...{ commit, dirty, run, hog, seed: series.seed, runSeed, options },
    ...{ startedAt: new Date().toISOString(), seconds: 0, files: {} }
  }
  const durations = await readDurations(WEIGHTS, join(home, 'test', 'durations.json'))
  const progress = createProgress(
    files.map((f) => f.path),
    durations,
    jobs
  )
  const startedAt = performance.now()
  const elapsed = () => (performance.now() - startedAt) / 1000
  const timer = setInterval(() => say(`run ${run} ${progress.line(elapsed())}`), PROGRESS_MS)
  // The stores of the run are started by this process, and are to be found by the mark as well.
  const { mark, env } = newMark()
  const before = process.env.SKERRY_TEST_MARK
  Object.assign(process.env, env)
  const hogs = hog ? startHog(HOGS_PER_CORE * availableParallelism()) : undefined
  const slowed = slow ? slowFsync(mark) : undefined
  try {
    await runSuite(shuffle(files, runSeed), {
      ...{ repo, jobs, signal, say },
      env: faults ? { SKERRY_FAULTS: '1' } : {},
      onFile(result) {
        record.files[result.file.path] = recordOf(result)
        progress.ended(result.file.path)
        if (countOf(result).failed > 0) say(failureText(result))
      }
    })
  } finally {
    clearInterval(timer)
    await hogs?.stop()
    await slowed?.stop()
    if (before === undefined) delete process.env.SKERRY_TEST_MARK
    else process.env.SKERRY_TEST_MARK = before
  }
  if (signal.aborted) return undefined
  if (slowed !== undefined && slowed.faults.length > 0)
    throw new Error(`strace could not delay fsync of the stores (is it allowed to trace?): ${slowed.faults[0]}`)
  record.seconds = Number(elapsed().toFixed(1))
  return record
}

function summary({ files, seconds }: RunRecord): string {
  const all = Object.values(files)
  const sum = (of: (file: RunRecord['files'][string]) => number) => all.reduce((total, file) => total + of(file), 0)
  const failed = sum((f) => f.failed + f.faults.length)
  return `${sum((f) => f.passed)} passed, ${failed} failed, ${sum((f) => f.skipped)} skipped in ${inWords(seconds)}`
}

function estimate(records: readonly RunRecord[], left: number): string {
  if (records.length === 0) return ''
  const mean = records.reduce((sum, { seconds }) => sum + seconds, 0) / records.length
  return `, about ${inWords(mean * left)} left`
}
