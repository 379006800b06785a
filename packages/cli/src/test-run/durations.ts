import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { FileResult } from './run-file.ts'

/** How many seconds test files took, by path. */
export type Durations = Record<string, number>

/** The table that a fresh clone begins with, kept in the repository; `./skerry test --weights` writes it. */
export const WEIGHTS = join(import.meta.dirname, 'weights.json')

/** What a file is taken for that no table has: new ones tend to be run alone first, and are better begun early than last. */
const UNKNOWN_S = 10
/** Files that take less are not worth a line in the kept table. */
const WORTH_KEEPING_S = 2

/** A later file's figures replace those of an earlier one. Files that do not exist are passed over. */
export async function readDurations(...paths: readonly string[]): Promise<Durations> {
  const tables = await Promise.all(paths.map(readTable))
  return Object.assign({}, ...tables)
}

async function readTable(path: string): Promise<Durations> {
  try {
    return JSON.parse(await readFile(path, 'utf8')) as Durations
  } catch (error) {
    // A table that is broken costs order, not correctness.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT' || error instanceof SyntaxError) return {}
    throw error
  }
}

/** The files, longest first. */
export function longestFirst<File extends { path: string }>(files: readonly File[], durations: Durations): File[] {
  const seconds = (file: File) => durations[file.path] ?? UNKNOWN_S
  return [...files].sort((a, b) => seconds(b) - seconds(a) || a.path.localeCompare(b.path))
}

/** Adds what a run took to a table. */
export async function keepDurations(path: string, results: readonly FileResult[]): Promise<void> {
  const all = await readTable(path)
  for (const { file, seconds, faults } of results) if (faults.length === 0) all[file.path] = Number(seconds.toFixed(2))
  await write(path, all)
}

/** Writes the table for fresh clones: what takes long, in whole seconds, by path; short files are begun last. */
export async function writeWeights(path: string, results: readonly FileResult[]): Promise<void> {
  const all = results.map(
    ({ file, seconds }) => [file.path, seconds >= WORTH_KEEPING_S ? Math.round(seconds) : 1] as const
  )
  await write(path, Object.fromEntries(all.sort(([a], [b]) => a.localeCompare(b))))
}

async function write(path: string, table: Durations): Promise<void> {
  await mkdir(dirname(path), { recursive: true })
  await writeFile(`${path}.${process.pid}`, `${JSON.stringify(table, null, 2)}\n`)
  await rename(`${path}.${process.pid}`, path)
}
