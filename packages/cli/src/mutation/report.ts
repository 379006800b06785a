import type { FileResult, Mutant } from './try-file.ts'

/** Mutants by how they ended. */
export type Score = {
  mutants: number
  killed: number
  survived: number
  noCoverage: number
  timeout: number
  /** Of those that could be tried, how many the tests noticed, %. */
  score: number
}

/** The score of a folder. A mutant that ends in a timeout was noticed; one that cannot run at all says nothing and is not counted. */
export function scoreOf(mutants: readonly Mutant[]): Score {
  const count = (status: Mutant['status']) => mutants.filter((one) => one.status === status).length
  const [killed, survived, noCoverage, timeout] = [
    count('Killed'),
    count('Survived'),
    count('NoCoverage'),
    count('Timeout')
  ]
  const all = killed + survived + noCoverage + timeout
  const score = all === 0 ? 100 : Math.floor(((killed + timeout) / all) * 1_000) / 10
  return { mutants: all, killed, survived, noCoverage, timeout, score }
}

const COLUMNS = ['folder', 'mutants', 'killed', 'survived', 'no coverage', 'timeout', 'score'] as const

/** A table of folders, the names to the left, the numbers to the right. */
export function tableOf(rows: readonly (readonly [string, Score])[]): string {
  const cells = rows.map(([name, { mutants, killed, survived, noCoverage, timeout, score }]) => [
    name,
    ...[mutants, killed, survived, noCoverage, timeout].map(String),
    `${score.toFixed(1)} %`
  ])
  const widths = COLUMNS.map((title, i) => Math.max(title.length, ...cells.map((row) => row[i]!.length)))
  const line = (row: readonly string[]) =>
    row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join('  ')
  return [line(COLUMNS), ...cells.map(line)].join('\n')
}

/** A line for each mutant that no test noticed: where it is, and what became of the code there. */
export function survivorsOf(folder: string, { file, mutants }: FileResult): string[] {
  return mutants
    .filter(({ status }) => status === 'Survived' || status === 'NoCoverage')
    .map(({ location: { start }, mutatorName, replacement, status }) => {
      const text = replacement.replaceAll(/\s+/g, ' ')
      const change = text.length > 120 ? `${text.slice(0, 119)}…` : text
      return `${folder}/${file}:${start.line}:${start.column} ${mutatorName}${status === 'NoCoverage' ? ' (no coverage)' : ''} → ${change}`
    })
}
