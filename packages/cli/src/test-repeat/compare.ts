import type { FileRecord, RunRecord } from './records.ts'

/** How many lines about one file are printed; all is in the records. */
const SHOWN = 20

/** What failed in any run, and what was not the same in all of them, as lines by file. Empty: all were green and equal. */
export function compareRuns(runs: readonly RunRecord[]): string[] {
  const paths = [...new Set(runs.flatMap((run) => Object.keys(run.files)))].sort()
  return paths.flatMap((path) => {
    const lines = compareFile(runs.map((run) => [run.run, run.files[path]] as const))
    if (lines.length === 0) return []
    const more = lines.length > SHOWN ? [`  and ${lines.length - SHOWN} more`] : []
    return [path, ...lines.slice(0, SHOWN).map((line) => `  ${line}`), ...more]
  })
}

type FileRuns = readonly (readonly [run: number, file: FileRecord | undefined])[]

function compareFile(all: FileRuns): string[] {
  const lines: string[] = []
  const there = all
    .filter((pair): pair is readonly [number, FileRecord] => pair[1] !== undefined)
    .map(([run, file]) => [run, { ...file, assertions: withoutFigures(file.assertions) }] as const)
  if (there.length < all.length) lines.push(`was run only in ${inRuns(there.map(([run]) => run))} of ${all.length}`)
  for (const [run, { faults }] of there) for (const fault of faults) lines.push(`run ${run}: ${fault}`)
  const failedSomewhere = new Set<string>()
  for (const name of namesIn(there)) {
    const failed = there.filter(([, file]) => (file.assertions[name]?.[1] ?? 0) > 0).map(([run]) => run)
    if (failed.length > 0) {
      lines.push(`"${name}" failed in ${inRuns(failed)} of ${there.length}`)
      failedSomewhere.add(testOf(name))
    }
    const skipped = there.filter(([, file]) => (file.assertions[name]?.[2] ?? 0) > 0).map(([run]) => run)
    if (skipped.length > 0 && skipped.length < there.length)
      lines.push(`"${name}" was skipped in ${inRuns(skipped)} of ${there.length}`)
  }
  const byTest = there.map(([run, file]) => [run, { ...file, assertions: ofTests(file.assertions) }] as const)
  for (const test of namesIn(byTest)) {
    const counts = Map.groupBy(byTest, ([, file]) => sum(file.assertions[test]))
    // One that failed in some runs often is there in those alone (an error that nobody expected), or ended the others.
    if (counts.size > 1 && !failedSomewhere.has(test))
      lines.push(
        `${test === '' ? 'the file itself' : `"${test}"`} asserted ${[...counts]
          .sort(([a], [b]) => a - b)
          .map(([count, runs]) => `${count} times in ${inRuns(runs.map(([run]) => run))}`)
          .join(', ')}`
      )
  }
  return lines
}

function namesIn(all: readonly (readonly [run: number, file: FileRecord])[]): Set<string> {
  return new Set(all.flatMap(([, file]) => Object.keys(file.assertions)))
}

/** The test that an assertion is in; what it says itself may be what it found. */
function testOf(name: string): string {
  const end = name.lastIndexOf(' > ')
  return end === -1 ? '' : name.slice(0, end)
}

function ofTests(assertions: FileRecord['assertions']): FileRecord['assertions'] {
  return merged(assertions, testOf)
}

/** Ids and what tests make of them, hashes, random names. */
const ID = /\b(?=\w*\d)\w{20,}\b/g

/** Assertions whose names differ in figures or ids alone are one: what was measured, counted or made is another in each run. */
function withoutFigures(assertions: FileRecord['assertions']): FileRecord['assertions'] {
  return merged(assertions, (name) => name.replace(ID, 'ID').replace(/\d+(?:[.,]\d+)*/g, 'N'))
}

function merged(assertions: FileRecord['assertions'], nameOf: (name: string) => string): FileRecord['assertions'] {
  const all: FileRecord['assertions'] = {}
  for (const [name, tally] of Object.entries(assertions)) {
    const plain = nameOf(name)
    const [passed, failed, skipped] = all[plain] ?? [0, 0, 0]
    all[plain] = [passed + tally[0], failed + tally[1], skipped + tally[2]]
  }
  return all
}

function sum(tally: readonly number[] | undefined): number {
  return (tally ?? []).reduce((a, b) => a + b, 0)
}

function inRuns(runs: readonly number[]): string {
  return `${runs.length === 1 ? 'run' : 'runs'} ${runs.join(', ')}`
}
