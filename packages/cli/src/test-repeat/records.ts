import { mkdir, readdir, readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { failureText } from '../test-run/report.ts'
import type { FileResult } from '../test-run/run-file.ts'
import type { SourcesState } from './sources.ts'

/** What makes two runs comparable: all options but the number of runs. */
export type SeriesOptions = { args: readonly string[]; jobs: number; slowFsync: boolean; faults: boolean }

/** A test file in one run: per name of an assertion how often it passed, failed and was skipped. */
export type FileRecord = {
  passed: number
  failed: number
  skipped: number
  seconds: number
  faults: string[]
  assertions: Record<string, [passed: number, failed: number, skipped: number]>
  /** What a failure printed. */
  output?: string
}

/** One run of a series, as it is kept in `run-03.json` or, beside the hog, `run-03-hog.json`. */
export type RunRecord = {
  commit: string
  dirty: boolean
  run: number
  hog: boolean
  /** Of the series; the run's own, which shuffles the files. */
  seed: number
  runSeed: number
  options: SeriesOptions
  startedAt: string
  seconds: number
  files: Record<string, FileRecord>
}

/** A series of runs of one state of the sources with one set of options, in a folder of its own. */
export type Series = {
  readonly folder: string
  readonly seed: number
  find(run: number, hog: boolean): Promise<RunRecord | undefined>
  keep(record: RunRecord): Promise<void>
}

/**
 * The series with these options: the one that was begun last for this state, so that it goes on where it was stopped, or a new one.
 *
 * @param folder `<home>/repeat`
 * @param seed of the series; without it that of the series which was begun last, or a new one
 * @param again begins a new series although there is one
 */
export async function openSeries(
  folder: string,
  state: SourcesState,
  options: SeriesOptions,
  { seed, again = false }: { seed?: number; again?: boolean }
): Promise<Series> {
  const all = join(folder, state.name)
  await mkdir(all, { recursive: true })
  const names = (await readdir(all)).filter((name) => /^series-\d+$/.test(name)).sort()
  for (const name of again ? [] : names.toReversed()) {
    const kept = await readJson<{ seed: number; options: SeriesOptions }>(join(all, name, 'series.json'))
    if (kept === undefined || JSON.stringify(kept.options) !== JSON.stringify(options)) continue
    if (seed === undefined || seed === kept.seed) return seriesIn(join(all, name), kept.seed)
  }
  const own = join(all, `series-${String(names.length + 1).padStart(3, '0')}`)
  await mkdir(own)
  const fresh = seed ?? Math.floor(Math.random() * 2 ** 32)
  await writeJson(join(own, 'series.json'), { seed: fresh, options })
  return seriesIn(own, fresh)
}

function seriesIn(folder: string, seed: number): Series {
  const path = (run: number, hog: boolean) =>
    join(folder, `run-${String(run).padStart(2, '0')}${hog ? '-hog' : ''}.json`)
  return {
    folder,
    seed,
    find: (run, hog) => readJson<RunRecord>(path(run, hog)),
    keep: (record) => writeJson(path(record.run, record.hog), record)
  }
}

/** A file's result as it is kept. */
export function recordOf(result: FileResult): FileRecord {
  const { passed, failed, skipped, faults, seconds, assertions } = result
  const tallies = [...assertions].map(([name, t]) => [name, [t.passed, t.failed, t.skipped]] as const)
  return {
    ...{ passed, failed, skipped: skipped.length, seconds: Number(seconds.toFixed(2)), faults },
    assertions: Object.fromEntries(tallies) as FileRecord['assertions'],
    ...(failed + faults.length > 0 ? { output: failureText(result) } : {})
  }
}

async function readJson<T>(path: string): Promise<T | undefined> {
  try {
    return JSON.parse(await readFile(path, 'utf8')) as T
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

/** Whole or not at all: a run that is recorded is complete. */
async function writeJson(path: string, value: unknown): Promise<void> {
  await writeFile(`${path}.part`, `${JSON.stringify(value)}\n`)
  await rename(`${path}.part`, path)
}
