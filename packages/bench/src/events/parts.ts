import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { quantile } from '../load.ts'
import { clock, type Effects, type Mode, type Order, type PartOptions } from './messages.ts'

/** What one round of a mode came to: events per second at full load; milliseconds from write to effect at a light one. */
export type Round = { eventsPerSecond: number; p50: number; p99: number }

export type Rounds = {
  /** Writes as fast as effects follow, for `seconds`. */
  full(seconds: number): Promise<number>
  /** Writes at a fixed rate, whatever comes of them. */
  light(events: number, perSecond: number): Promise<{ p50: number; p99: number }>
  stop(): Promise<void>
}

/** Writes without their effect yet, at most: enough to keep every part busy. */
const AHEAD = 512
const LANES = 64
const PORTION = 64
const NO_EFFECT_MS = 30_000

/** Starts a producer and a consumer of a mode, each a process, and waits until both are ready. */
export async function startParts(options: PartOptions): Promise<Rounds> {
  const [producer, consumer] = await Promise.all([start('producer', options), start('consumer', options)])
  let latencies: number[] = []
  let effects = 0
  let written = 0
  let onEffects: () => void = () => undefined
  consumer.on('message', (message: Effects) => {
    effects += message.latencies.length
    latencies.push(...message.latencies)
    onEffects()
  })
  const order = (what: Order) => {
    written += what.events
    producer.send(what)
  }

  /** Waits for the next effects; a part that has ended or hangs ends the bench. */
  function nextEffects(): Promise<void> {
    return new Promise((resolve, reject) => {
      const late = setTimeout(
        () => reject(new Error(`${options.mode}: no effect for ${NO_EFFECT_MS / 1000} s`)),
        NO_EFFECT_MS
      )
      onEffects = () => {
        clearTimeout(late)
        resolve()
      }
    })
  }

  async function settle(): Promise<void> {
    while (effects < written) await nextEffects()
  }

  return {
    async full(seconds) {
      const until = clock() + seconds * 1000
      const begun = clock()
      const before = effects
      while (clock() < until) {
        while (written - effects <= AHEAD - PORTION) order({ events: PORTION, lanes: LANES / 8 })
        await nextEffects()
      }
      const perSecond = ((effects - before) / (clock() - begun)) * 1000
      await settle()
      return perSecond
    },
    async light(events, perSecond) {
      latencies = []
      order({ events, everyMs: 1000 / perSecond })
      await settle()
      return { p50: quantile(latencies, 0.5), p99: quantile(latencies, 0.99) }
    },
    async stop() {
      for (const child of [producer, consumer]) {
        if (child.exitCode !== null || child.signalCode !== null) continue
        const exited = once(child, 'exit')
        child.kill('SIGTERM')
        await exited
      }
    }
  }
}

async function start(part: 'producer' | 'consumer', options: PartOptions): Promise<ChildProcess> {
  const child = fork(new URL(`${part}.ts`, import.meta.url), {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    execArgv: [],
    env: { BENCH_PART: JSON.stringify(options) }
  })
  const ended = once(child, 'exit').then(([code]) => {
    throw new Error(`the ${options.mode} ${part} ended with ${code}`)
  })
  // One that ends later is noticed by the effects that don't come.
  ended.catch(() => undefined)
  await Promise.race([once(child, 'message'), ended])
  return child
}

/** A mode's name in tables. */
export const labelOf = (mode: Mode): string =>
  mode === 'safe' ? 'outbox, stream, inbox' : 'plain publish, plain effect'
