import { randomOf } from './random.ts'

/** How much of a fault test is to run: a short version in `npm test`, a part of the long one in `npm run test:faults`. */
export type FaultRun = {
  /** Whether this is the long version. */
  readonly long: boolean
  readonly seed: number
  /** Numbers of the rounds to run, ascending, from 1. */
  readonly rounds: readonly number[]
  /** The time that the whole file has. */
  readonly limitMs: number
  /** Numbers of 0 … 1 that the seed, the round and a purpose determine: a round has the same fate alone as among others. */
  random(round: number, purpose?: string): () => number
}

const SHORT_LIMIT_S = 300
const LONG_LIMIT_S = 1_800

/**
 * Reads what the runner of fault tests says: SKERRY_FAULTS (the long version), SKERRY_SEED, SKERRY_ROUNDS (`3`, `2-5`, `1,4-6`) and
 * SKERRY_FAULTS_LIMIT_S. A file that is run by hand may be given the same.
 *
 * @param rounds how many rounds the short and the long version have when SKERRY_ROUNDS does not say which
 */
export function faultRun(rounds: { short: number; long: number }, env: NodeJS.ProcessEnv = process.env): FaultRun {
  const long = env.SKERRY_FAULTS !== undefined && env.SKERRY_FAULTS !== ''
  const seed = Number(env.SKERRY_SEED ?? 1)
  if (!Number.isSafeInteger(seed)) throw new Error(`SKERRY_SEED=${env.SKERRY_SEED} is no whole number`)
  const limit = Number(env.SKERRY_FAULTS_LIMIT_S ?? (long ? LONG_LIMIT_S : SHORT_LIMIT_S))
  if (!(limit > 0)) throw new Error(`SKERRY_FAULTS_LIMIT_S=${env.SKERRY_FAULTS_LIMIT_S} is no number of seconds`)
  return {
    long,
    seed,
    rounds: parseRounds(env.SKERRY_ROUNDS ?? `1-${long ? rounds.long : rounds.short}`),
    limitMs: limit * 1_000,
    random: (round, purpose = '') => randomOf(`${seed} round ${round} ${purpose}`)
  }
}

/** Numbers of rounds from text: `3`, `2-5`, `1,4-6`. Ascending, each once; throws for anything else. */
export function parseRounds(text: string): number[] {
  const found = new Set<number>()
  for (const part of text.split(',')) {
    const [, from, to = from] = /^([1-9]\d{0,3})(?:-([1-9]\d{0,3}))?$/.exec(part) ?? []
    if (from === undefined || Number(to) < Number(from)) throw new Error(`"${text}" names no rounds: 3, 2-5 or 1,4-6`)
    for (let round = Number(from); round <= Number(to); round++) found.add(round)
  }
  return [...found].sort((a, b) => a - b)
}
