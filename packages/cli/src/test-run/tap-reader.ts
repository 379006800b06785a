import { Parser, type Result } from 'tap-parser'

/** How often an assertion of one name passed, failed and was skipped. */
export type Tally = { passed: number; failed: number; skipped: number }

/** What a test file's TAP came to. Subtests count by their assertions; one without any counts itself. */
export type Outcome = {
  passed: number
  failed: number
  skipped: { name: string; why: string }[]
  failures: { name: string; diagnostics: unknown }[]
  /** By the assertion's name with those of the subtests that it is in. */
  assertions: Map<string, Tally>
  /** What was printed that is no TAP. */
  other: string
}

export type TapReader = { write(chunk: string): void; end(): Outcome }

/** How much of output that nobody expects is kept. */
const OTHER_KEPT = 64 * 1024

/** Reads the output of one test file as it comes. */
export function createTapReader(): TapReader {
  const outcome: Outcome = { passed: 0, failed: 0, skipped: [], failures: [], assertions: new Map(), other: '' }
  const root = new Parser((results) => {
    // `1..0 # SKIP reason` skips a whole file; tap says the same of one that tests nothing.
    const reason = results.plan.skipAll ? results.plan.skipReason : ''
    if (reason !== '' && reason !== 'no tests found') outcome.skipped.push({ name: 'all of it', why: reason })
  })
  root.on('extra', (text: string) => {
    outcome.other = (outcome.other + text).slice(-OTHER_KEPT)
  })
  follow(root, outcome)
  return {
    write: (chunk) => void root.write(chunk),
    end() {
      root.end()
      return outcome
    }
  }
}

type Counts = { all: number; failed: number }

/** Counts the assertions of a test and, through its parsers, of all subtests in it. */
function follow(parser: Parser, outcome: Outcome): Counts {
  const counts: Counts = { all: 0, failed: 0 }
  let inside: Counts | undefined
  parser.on('child', (child: Parser) => {
    inside = follow(child, outcome)
  })
  parser.on('assert', (result: Result) => {
    const subtest = result.closingTestPoint ? inside : undefined
    inside = undefined
    counts.all++
    if (!result.ok) counts.failed++
    // The line that closes a subtest repeats what its assertions said, unless there were none or they all passed and it did not.
    if (subtest !== undefined && subtest.all > 0 && (result.ok || subtest.failed > 0)) return
    count(outcome, result)
  })
  return counts
}

function count(outcome: Outcome, { ok, fullname, skip, todo, diag }: Result): void {
  const name = fullname === '' ? '(no name)' : fullname
  const tally = outcome.assertions.get(name) ?? { passed: 0, failed: 0, skipped: 0 }
  outcome.assertions.set(name, tally)
  const why = skip !== false ? skip : todo !== false ? `to do: ${todo}` : undefined
  if (why !== undefined) {
    tally.skipped++
    outcome.skipped.push({ name, why: why === true || why === '' ? 'no reason given' : String(why) })
  } else if (ok) {
    tally.passed++
    outcome.passed++
  } else {
    tally.failed++
    outcome.failed++
    outcome.failures.push({ name, diagnostics: diag })
  }
}
