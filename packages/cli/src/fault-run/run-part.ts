import { createWriteStream } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { finished } from 'node:stream/promises'
import { binCache } from '@skerry/testing'
import { runFile } from '../test-run/run-file.ts'
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
  const open = new Set<number | null>(part.rounds ?? [null])
  const told: Promise<void>[] = []
  const startedAt = performance.now()
  let begun = startedAt
  let failed = false
  const secondsSince = (at: number) => (performance.now() - at) / 1_000
  // What a file says of its rounds once it is told to end is no result.
  const ending = () => signal.aborted || secondsSince(startedAt) >= limitSeconds
  const log = createWriteStream(options.log)
  const lines = splitLines((line) => {
    const heard = readLine(line)
    if (heard === undefined) return
    if (heard.type === 'round begins' && part.rounds !== undefined) begun = performance.now()
    if (heard.type === 'skipped') {
      const round = part.rounds === undefined ? null : Number(/^round (\d+)\b/.exec(heard.name)?.[1])
      if (open.delete(round)) told.push(options.onEnded({ round, result: 'skipped', seconds: 0, why: heard.why }))
    }
    if (heard.type === 'round ended' && open.has(heard.round) && !ending()) {
      open.delete(heard.round)
      failed ||= !heard.ok
      const ended: Ended = { round: heard.round, result: 'passed', seconds: heard.seconds }
      told.push(options.onEnded(heard.ok ? ended : { ...ended, result: 'failed', why: 'see its log' }))
    }
    options.onHeard(heard)
  })
  try {
    const file = {
      ...{ package: part.folder, folder: part.folder, path: join(part.folder, part.file), inPackage: part.file },
      timeoutMs: limitSeconds * 1_000
    }
    const result = await runFile(file, {
      ...{ repo, signal },
      env: {
        SKERRY_FAULTS: '1',
        SKERRY_SEED: String(seed),
        SKERRY_FAULTS_LIMIT_S: String(limitSeconds),
        SKERRY_BIN: binCache(),
        TMPDIR: temporary,
        ...(part.rounds === undefined ? {} : { SKERRY_ROUNDS: formatRounds(part.rounds) })
      },
      onOutput(chunk) {
        log.write(chunk)
        lines(chunk)
      }
    })
    await Promise.all(told)
    const why = result.faults.join('; ')
    log.write(`\n${result.errors}\n${why}\n`)
    return rest([...open], {
      ...{ seconds: secondsSince(begun), interrupted: signal.aborted, failed, rounds: part.rounds ?? [] },
      late: secondsSince(startedAt) >= limitSeconds ? `it did not end within ${formatTime(limitSeconds)}` : undefined,
      fault: why !== '' ? why : result.failed > 0 ? `${result.failed} assertions failed, see its log` : undefined
    })
  } finally {
    log.end()
    await finished(log)
    // What was ended may still be writing.
    await rm(temporary, { recursive: true, force: true, maxRetries: 20, retryDelay: 250 })
  }
}

/** Hands on each whole line of a text that comes in pieces. */
function splitLines(onLine: (line: string) => void): (chunk: string) => void {
  let rest = ''
  return (chunk) => {
    const all = (rest + chunk).split('\n')
    rest = all.pop() ?? ''
    for (const line of all) onLine(line)
  }
}

type How = {
  seconds: number
  interrupted: boolean
  late: string | undefined
  /** What went wrong with the file, where something did. */
  fault: string | undefined
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
  const { seconds, fault } = how
  const [first, ...others] = open
  if (first === undefined) {
    if (fault === undefined || how.failed) return []
    return [{ round: how.rounds.at(-1) ?? null, result: 'failed', seconds, why: `after its rounds: ${fault}` }]
  }
  if (how.failed) return open.map(skipped('an earlier round failed'))
  const after = others.map(skipped('an earlier round did not end'))
  if (how.late !== undefined) return [{ round: first, result: 'late', seconds, why: how.late }, ...after]
  if (fault !== undefined) return [{ round: first, result: 'failed', seconds, why: fault }, ...after]
  if (first !== null) return [{ round: first, result: 'failed', seconds, why: 'it ended without this round' }, ...after]
  return [{ round: null, result: 'passed', seconds }]
}
