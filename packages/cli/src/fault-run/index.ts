import { join } from 'node:path'
import { stateOf } from '../test-repeat/sources.ts'
import { createChildren } from '../test-run/child.ts'
import { withInterruption } from '../test-run/interruption.ts'
import { ensureTapBuild } from '../test-run/tap-build.ts'
import { chooseParts, withRounds } from './choose.ts'
import { DEFAULT_SEED, LIMIT_MINUTES, PARTS, type Part } from './parts.ts'
import { listParts, type Outcome, summarise } from './report.ts'
import { openResults, type Results } from './results.ts'
import { type Ended, runPart } from './run-part.ts'
import { watch } from './watch.ts'

/** What is said on the command line besides the names of parts. */
export type FaultArgs = {
  rounds?: string
  seed?: string
  list?: boolean
  /** Rounds that came to their end with this commit and seed are not run again. */
  resume?: boolean
}

export type FaultRunOptions = FaultArgs & {
  /** Root folder of the checkout. */
  repo: string
  /** Folder below which results are kept. */
  home: string
  /** Names of parts, all when empty. */
  names: readonly string[]
  parts?: readonly Part[]
  limitMinutes?: number
  /** Under which results are kept: what git says of the checkout. */
  commit?: string
  write?(line: string): void
}

/**
 * Runs the fault tests in their long version, part by part, each in a process of its own with stores of its own. Shows how far it is, keeps
 * what each round came to, and prints at last `N passed, N failed, N skipped`.
 *
 * @returns the exit code: 1 when anything failed or was not run, 130 when it was interrupted
 */
export async function runFaults(options: FaultRunOptions): Promise<number> {
  const { repo, home, names, parts = PARTS, write = (line) => void process.stdout.write(`${line}\n`) } = options
  const seed = options.seed === undefined ? DEFAULT_SEED : Number(options.seed)
  let chosen: Part[]
  try {
    if (!Number.isSafeInteger(seed) || options.seed === '') throw new Error(`--seed ${options.seed} is no whole number`)
    chosen = chooseParts(parts, names, options.rounds)
  } catch (error) {
    write((error as Error).message)
    return 1
  }
  if (options.list === true) {
    write(listParts(chosen))
    return 0
  }
  return withInterruption(write, async (signal) => {
    const children = createChildren(repo)
    signal.addEventListener('abort', children.stop)
    const notBuilt = await ensureTapBuild(children, repo)
    if (notBuilt !== undefined) {
      write(`tap could not be built:\n${notBuilt.output}`)
      return 1
    }
    const results = await openResults(home, options.commit ?? (await nameOf(repo)), seed)
    if (options.resume !== true)
      await results.forget(({ part, round }) =>
        chosen.some((one) => one.name === part && roundsOf(one).includes(round))
      )
    const limitMinutes = options.limitMinutes ?? LIMIT_MINUTES
    const outcomes = await runAll(chosen, results, { repo, seed, write, signal, limitMinutes })
    const { text, failed, skipped } = summarise(outcomes)
    write(`\n${text}\nLogs and results are in ${results.folder}`)
    if (signal.aborted) write('--resume goes on from here')
    return failed + skipped === 0 ? 0 : 1
  })
}

type Run = { repo: string; seed: number; write(line: string): void; signal: AbortSignal; limitMinutes: number }

async function runAll(chosen: readonly Part[], results: Results, run: Run): Promise<Outcome[]> {
  const earlier = new Map(chosen.map((part) => [part.name, endedBefore(part, results)]))
  const left = chosen
    .map((part) => withoutRounds(part, earlier.get(part.name)!))
    .filter((part): part is Part => part !== undefined)
  const shown = watch(left, run.write)
  const now = new Map<string, Map<number | null, Ended>>()
  try {
    for (const part of left) {
      const ended = new Map<number | null, Ended>()
      now.set(part.name, ended)
      if (run.signal.aborted) {
        for (const round of roundsOf(part))
          ended.set(round, { round, result: 'skipped', seconds: 0, why: 'interrupted' })
        continue
      }
      shown.begin(part)
      const take = async (one: Ended) => {
        if (one.result !== 'skipped') shown.ended(one)
        ended.set(one.round, one)
        // What was late, skipped or interrupted has not come to its end: it is run again.
        if (one.result === 'passed' || one.result === 'failed')
          await results.add({
            part: part.name,
            round: one.round,
            ok: one.result === 'passed',
            seconds: one.seconds,
            at: new Date().toISOString()
          })
      }
      const others = await runPart(part, {
        ...run,
        limitSeconds: run.limitMinutes * 60,
        log: join(results.folder, `${part.name}-seed-${run.seed}.log`),
        onHeard: shown.heard,
        onEnded: take
      })
      for (const one of others) await take(one)
    }
  } finally {
    shown.stop()
  }
  return chosen.map((part) => {
    const before = earlier.get(part.name)!
    return { part, earlier: before.length, ended: [...before, ...(now.get(part.name)?.values() ?? [])] }
  })
}

/** Results of other sources say nothing of these. Where git knows nothing of the checkout its sources have no name. */
async function nameOf(repo: string): Promise<string> {
  try {
    return (await stateOf(repo)).name
  } catch (error) {
    // No git, or no repository of it.
    const { code } = error as { code?: unknown }
    if (code !== 'ENOENT' && code !== 128) throw error
    return 'no-commit'
  }
}

function roundsOf(part: Part): readonly (number | null)[] {
  return part.rounds ?? [null]
}

/** Rounds that came to their end in an earlier run. One that failed then stays a failure until it is run anew, without --resume. */
function endedBefore(part: Part, results: Results): Ended[] {
  return roundsOf(part).flatMap((round): Ended[] => {
    const found = results.find(part.name, round)
    if (found === undefined) return []
    return [
      found.ok
        ? { round, result: 'passed', seconds: found.seconds }
        : { round, result: 'failed', seconds: found.seconds, why: `failed at ${found.at}` }
    ]
  })
}

function withoutRounds(part: Part, ended: readonly Ended[]): Part | undefined {
  const left = roundsOf(part).filter((round) => !ended.some((one) => one.round === round))
  if (left.length === 0) return undefined
  return part.rounds === undefined ? part : withRounds(part, left as number[])
}
