import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { binCache } from '@skerry/testing'
import { createChildren } from '../test-run/child.ts'
import { formatRounds } from './choose.ts'
import type { Part } from './parts.ts'
import { type Heard, readLine } from './read-rounds.ts'
import { formatTime } from './time-left.ts'

/** How one round ended, or the whole part where it has no rounds: `why` says what went wrong. */
export type Ended = {
  round: number | null
  result: 'passed' | 'failed' | 'late' | 'skipped'
  seconds: number
  why?: string
}

export type RunPartOptions = {
  /** Root folder of the checkout. */
  repo: string
  seed: number
  limitSeconds: number
  /** Where all that the part said is kept. */
  log: string
  signal: AbortSignal
  onHeard(heard: Heard): void
  /** Told of each round as it ends. */
  onEnded(ended: Ended): Promise<void>
}

/**
 * Runs a part as a process of its own, ends it when its time is over, and removes what it left in its folder for temporary files.
 *
 * @returns how those rounds ended of which `onEnded` was not told: the one in which it crashed or was late, and those after it
 */
export async function runPart(part: Part, options: RunPartOptions): Promise<Ended[]> {
  const { repo, seed, limitSeconds, signal } = options
  const temporary = await mkdtemp(join(tmpdir(), 'skerry-faults-'))
  const children = createChildren(repo)
  let late = false
  const timer = setTimeout(() => {
    late = true
    children.stop()
  }, limitSeconds * 1_000)
  signal.addEventListener('abort', children.stop, { once: true })
  const told: Promise<void>[] = []
  const open = new Set<number | null>(part.rounds ?? [null])
  let begun = performance.now()
  let tests = 0
  let failed = false
  const secondsSince = () => (performance.now() - begun) / 1_000
  try {
    const { code, output } = await children.run('node', [part.file], {
      cwd: join(repo, part.folder),
      env: {
        SKERRY_FAULTS: '1',
        SKERRY_SEED: String(seed),
        // The file's own bound is for when it is run without this: here the part's holds, and says in which round it was.
        SKERRY_FAULTS_LIMIT_S: String(limitSeconds + 60),
        SKERRY_BIN: binCache(),
        TAP_TIMEOUT: String(limitSeconds + 60),
        TMPDIR: temporary,
        ...(part.rounds === undefined ? {} : { SKERRY_ROUNDS: formatRounds(part.rounds) })
      },
      onLine(line) {
        const heard = readLine(line)
        if (heard === undefined) return
        if (heard.type === 'tests') tests = heard.count
        if (heard.type === 'round ended' && open.has(heard.round) && !late && !signal.aborted) {
          open.delete(heard.round)
          const ended: Ended = { round: heard.round, result: heard.ok ? 'passed' : 'failed', seconds: secondsSince() }
          failed ||= !heard.ok
          told.push(options.onEnded(heard.ok ? ended : { ...ended, why: 'see its log' }))
          begun = performance.now()
        }
        options.onHeard(heard)
      }
    })
    await writeFile(options.log, output)
    await Promise.all(told)
    return rest([...open], {
      ...{ seconds: secondsSince(), interrupted: signal.aborted, code, tests },
      late: late ? `it did not end within ${formatTime(limitSeconds)}` : undefined,
      failed,
      rounds: part.rounds ?? []
    })
  } finally {
    clearTimeout(timer)
    signal.removeEventListener('abort', children.stop)
    // What was ended may still be writing.
    await rm(temporary, { recursive: true, force: true, maxRetries: 20, retryDelay: 250 })
  }
}

type How = {
  seconds: number
  interrupted: boolean
  late: string | undefined
  code: number
  tests: number
  /** Whether a round said that it failed. */
  failed: boolean
  rounds: readonly number[]
}

/** How rounds ended that did not say so. */
function rest(open: readonly (number | null)[], how: How): Ended[] {
  const skipped =
    (why: string) =>
    (round: number | null): Ended => ({ round, result: 'skipped', seconds: 0, why })
  if (how.interrupted) return open.map(skipped('interrupted'))
  const { seconds, code } = how
  const [first, ...others] = open
  if (first === undefined) {
    if (code === 0 || how.failed) return []
    return [
      { round: how.rounds.at(-1)!, result: 'failed', seconds, why: `after its rounds it ended with exit code ${code}` }
    ]
  }
  if (how.failed) return open.map(skipped('an earlier round failed'))
  const after = others.map(skipped('an earlier round did not end'))
  if (how.late !== undefined) return [{ round: first, result: 'late', seconds, why: how.late }, ...after]
  if (code !== 0) return [{ round: first, result: 'failed', seconds, why: `exit code ${code}, see its log` }, ...after]
  if (first !== null || how.tests === 0)
    return [{ round: first, result: 'failed', seconds, why: 'it ended without having run' }, ...after]
  return [{ round: null, result: 'passed', seconds }]
}
