import { setTimeout as delay } from 'node:timers/promises'
import type { LiveStream } from './live-stream.ts'

/** Few streams are told at once; many at about this rate. */
const PER_MS = 0.5
const STEP_MS = 20
/** Clients come back within this span. */
const RETRY_MS = { least: 250, span: 2_000 }

/** Ends streams in random order, spread over at most `spreadMs`, each with its own time to come back after. */
export async function drainStreams(streams: LiveStream[], spreadMs: number): Promise<void> {
  const waiting = streams
    .map((stream) => ({ stream, key: Math.random() }))
    .sort((a, b) => a.key - b.key)
    .map(({ stream }) => stream)
  const steps = Math.max(1, Math.floor(Math.min(spreadMs, waiting.length / PER_MS) / STEP_MS))
  const share = Math.ceil(waiting.length / steps)
  while (waiting.length > 0) {
    for (const stream of waiting.splice(0, share)) {
      stream.end('draining', Math.round(RETRY_MS.least + Math.random() * RETRY_MS.span))
    }
    if (waiting.length > 0) await delay(STEP_MS)
  }
}
