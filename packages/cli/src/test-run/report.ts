import type { Totals } from './tap-totals.ts'

export type Report = {
  say(line: string): void
  /** A line of a running package's output: its closing comment shows that it ended. */
  progress(name: string, line: string): void
  /** A part has ended: its line, all that it said when it failed, and its share of the total. */
  add(name: string, totals: Totals, seconds: number, output: string): void
  /** Prints the closing line; the exit code. */
  close(): number
}

/** The lines of a test run and their sum. */
export function createReport(write: (text: string) => void): Report {
  let passed = 0
  let failed = 0
  const begun = performance.now()
  return {
    say: write,
    progress(name, line) {
      const totals = /^# \{ (total: .*) \}$/.exec(line)?.[1]
      if (totals !== undefined)
        write(`… ${name} ended after ${((performance.now() - begun) / 1000).toFixed(0)} s: ${totals}`)
    },
    add(name, totals, seconds, output) {
      passed += totals.passed
      failed += totals.failed
      const ok = totals.failed === 0
      if (!ok) write(`\n${withoutPassed(output)}`)
      const counts = `${String(totals.passed).padStart(6)} passed${ok ? '' : `, ${totals.failed} failed`}`
      const why = totals.why === undefined ? '' : `: ${totals.why}`
      write(`${ok ? '✓' : '✗'} ${name.padEnd(20)}${counts}  ${seconds.toFixed(1)} s${why}`)
    },
    close() {
      write(`${passed} passed, ${failed} failed`)
      return failed === 0 ? 0 : 1
    }
  }
}

/** What failed is looked for among hundreds of lines that say `ok`: they are left out. */
function withoutPassed(output: string): string {
  return output
    .split('\n')
    .filter((line) => !/^\s*ok \d+ /.test(line))
    .join('\n')
}
