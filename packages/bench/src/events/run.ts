import { startTestStores } from '@skerry/testing'
import { describeMachine, type Machine } from '../gateway/result.ts'
import { quantile } from '../load.ts'
import { benchInstances, type InstancesResult } from './instances.ts'
import type { Mode } from './messages.ts'
import { type Round, type Rounds, startParts } from './parts.ts'

export type EventsResult = {
  at: string
  machine: Machine
  setup: { rounds: number; fullSeconds: number; lightPerSecond: number; lightEvents: number }
  modes: Record<Mode, Round>
  /** How much of the plain mode's throughput is left with the guarantees: the median of the rounds' own ratios. */
  throughputRatio: number
  instances: InstancesResult
}

const MODES = ['safe', 'plain'] as const
const FULL_SECONDS = 5
const LIGHT_PER_SECOND = 50
const LIGHT_EVENTS = 200
const INSTANCE_ROUNDS = 3

/**
 * Measures events from the beginning of a write to the end of its effect, with the outbox and the inbox and without, in turns on the same
 * servers, in processes of their own. The durability of all writes and of the stream is that of `./skerry up`.
 */
export async function benchEvents(rounds: number, say: (line: string) => void): Promise<EventsResult> {
  const { shared, stop } = await startTestStores(say)
  const parts = new Map<Mode, Rounds>()
  const machine = describeMachine()
  try {
    for (const [i, mode] of MODES.entries()) {
      const account = `test${i}`
      const nats = { url: shared.natsUrl, user: account, password: account }
      parts.set(mode, await startParts({ mode, mongo: { url: shared.mongoUrl, database: `bench_${mode}` }, nats }))
    }
    for (const mode of MODES) await parts.get(mode)?.full(1)
    const got: Record<Mode, Round[]> = { safe: [], plain: [] }
    for (let round = 1; round <= rounds; round++) {
      // Whoever comes first alternates, so that none always has the warmer machine.
      for (const mode of round % 2 === 1 ? MODES : [...MODES].reverse()) {
        say(`round ${round} of ${rounds}: ${mode}`)
        const part = parts.get(mode)!
        const eventsPerSecond = await part.full(FULL_SECONDS)
        got[mode].push({ eventsPerSecond, ...(await part.light(LIGHT_EVENTS, LIGHT_PER_SECOND)) })
      }
    }
    for (const part of parts.values()) await part.stop()
    const user = `test${MODES.length}`
    const nats = { url: shared.natsUrl, user, password: user }
    const mongo = { url: shared.mongoUrl, database: 'bench_instances' }
    const instances = await benchInstances({ mongo, nats }, INSTANCE_ROUNDS, say)
    return {
      instances,
      at: new Date().toISOString(),
      machine,
      setup: { rounds, fullSeconds: FULL_SECONDS, lightPerSecond: LIGHT_PER_SECOND, lightEvents: LIGHT_EVENTS },
      modes: { safe: medianOf(got.safe), plain: medianOf(got.plain) },
      throughputRatio: quantile(
        got.safe.map((r, i) => r.eventsPerSecond / got.plain[i]!.eventsPerSecond),
        0.5
      )
    }
  } finally {
    for (const part of parts.values()) await part.stop()
    await stop()
  }
}

function medianOf(rounds: readonly Round[]): Round {
  const middle = (of: (round: Round) => number) => quantile(rounds.map(of), 0.5)
  return { eventsPerSecond: middle((r) => r.eventsPerSecond), p50: middle((r) => r.p50), p99: middle((r) => r.p99) }
}
