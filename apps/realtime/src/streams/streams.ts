import { SkerryError } from '@skerry/contracts'
import type { Caller, Identity, Logger, Metrics } from '@skerry/service'
import { isId } from '@skerry/store'
import type { Activity } from '../domain/activity.ts'
import type { LogPosition } from '../log/entry.ts'
import type { LiveLog } from '../log/live-log.ts'
import { drainStreams } from './drain.ts'
import { Hub } from './hub.ts'
import { LiveStream } from './live-stream.ts'
import type { Place } from './message-id.ts'
import type { Sink } from './sink.ts'
import type { StreamHost, StreamOptions } from './stream-host.ts'
import { streamMetrics } from './stream-metrics.ts'
import { createWheel } from './wheel.ts'

export type StreamsDeps = {
  live: LiveLog
  identity: Identity
  /** Makes a user one who is written to. */
  keepActive(userId: string): Promise<Activity>
  options: StreamOptions
  metrics: Metrics
  log: Logger
}

/** A stream that is admitted and counted; `start` it with the way to its client, or `close` it. */
export type Opening = { readonly closed: boolean; start(sink: Sink): void; close(): void }

/** All live streams of this instance. */
export type Streams = {
  readonly size: number
  /** Throws what is wrong before anything is sent: RT_TOO_MANY_STREAMS, or UNAVAILABLE. Counted from the call on. */
  open(caller: Caller, token: string, from: Place | undefined): Promise<Opening>
  /** Takes no more and tells all clients to come back, spread over `spreadMs` at most. */
  drain(spreadMs: number): Promise<void>
  close(): void
}

/** How old a place of the log is before streams rely on every replica having it. */
const SETTLE_MS = 5_000
const RENEW_AGAIN_MS = 60_000

export function createStreams(deps: StreamsDeps): Streams {
  const { live, identity, options, log } = deps
  const hubs = new Map<string, Hub>()
  const all = new Set<LiveStream>()
  const retries = new Set<LiveStream>()
  let draining = false
  let settled: LogPosition = live.latest()
  let candidate = settled
  let candidateAt = Date.now()
  let reconnects = 0

  const host: StreamHost<LiveStream> = {
    live,
    options,
    log,
    metrics: streamMetrics(deps.metrics, () => all.size),
    settled: () => settled,
    retryLater: (stream) => retries.add(stream),
    release
  }
  const wheel = createWheel<LiveStream>(options.heartbeatMs, visit, tick)
  live.onReconnect(() => {
    reconnects++
    lookAgain()
  })

  function lookAgain(): void {
    for (const stream of all) stream.readOn('reconnect')
  }

  function release(stream: LiveStream): void {
    const { hub } = stream
    all.delete(stream)
    retries.delete(stream)
    wheel.remove(stream)
    const at = hub.streams.indexOf(stream)
    if (at !== -1) hub.streams.splice(at, 1)
    if (hub.streams.length > 0 || hubs.get(hub.userId) !== hub) return
    hubs.delete(hub.userId)
    hub.close()
  }

  function tick(): void {
    const now = Date.now()
    if (now - candidateAt >= SETTLE_MS) {
      const latest = live.latest()
      if (latest.stamp !== candidate.stamp) lookAgain()
      settled = candidate
      candidate = latest
      candidateAt = now
      live.position().catch((error: unknown) => log.debug({ err: error }, 'the live log does not respond'))
    }
    for (const stream of all) if (identity.verifyCached(stream.token) === undefined) check(stream)
    if (!live.available()) return
    for (const stream of retries) {
      retries.delete(stream)
      stream.readOn('retry')
    }
  }

  function visit(stream: LiveStream): void {
    const now = Date.now()
    stream.beat(now)
    if (now >= stream.hub.renewAt) renew(stream.hub)
    if (now < stream.verifyAt) return
    stream.verifyAt = now + options.verifyMs
    stream.readOn('verify')
  }

  /** A token that the cache doesn't hold as good: it has expired, its session has ended, or the cache has forgotten it. */
  function check(stream: LiveStream): void {
    if (stream.checking) return
    stream.checking = true
    identity
      .verify(stream.token)
      .catch((error: unknown) => {
        if (!(error instanceof SkerryError) || error.status !== 401) return
        stream.end(error.code === 'TOKEN_EXPIRED' ? 'expired' : 'revoked')
      })
      .finally(() => {
        stream.checking = false
      })
  }

  function renew(hub: Hub): void {
    if (hub.renewing) return
    hub.renewing = true
    deps
      .keepActive(hub.userId)
      .then((activity) => {
        hub.renewAt = activity.renewAt
      })
      .catch((error: unknown) => {
        hub.renewAt = Date.now() + RENEW_AGAIN_MS
        log.warn({ err: error, userId: hub.userId }, "failed to renew a user's activity")
      })
      .finally(() => {
        hub.renewing = false
      })
  }

  /** Counts a stream in, or says why not. */
  function admit(caller: Caller, token: string): LiveStream {
    if (!isId(caller.userId)) throw new SkerryError('UNAUTHENTICATED')
    if (draining || !live.available()) throw new SkerryError('UNAVAILABLE', { retryAfter: 1 + Math.random() * 4 })
    if (all.size >= options.maxStreams) {
      throw new SkerryError('UNAVAILABLE', {
        detail: 'This instance has reached its limit of live streams.',
        retryAfter: 3 + Math.random() * 4
      })
    }
    let hub = hubs.get(caller.userId)
    if (hub !== undefined && hub.streams.length >= options.perUser) {
      throw new SkerryError('RT_TOO_MANY_STREAMS', { retryAfter: 10 })
    }
    if (hub === undefined) {
      hub = new Hub(caller.userId, live)
      hubs.set(caller.userId, hub)
    }
    const stream = new LiveStream(host, hub, caller, token)
    hub.streams.push(stream)
    all.add(stream)
    return stream
  }

  return {
    get size() {
      return all.size
    },
    async open(caller, token, from) {
      const stream = admit(caller, token)
      try {
        // In this order: written to, subscribed (since `admit`), and only then asked where the log ends.
        if (Date.now() >= stream.hub.renewAt) stream.hub.renewAt = (await deps.keepActive(caller.userId)).renewAt
        const seen = reconnects
        const now = await live.position()
        return {
          get closed() {
            return stream.closed
          },
          start(sink) {
            wheel.add(stream)
            stream.start(sink, now, from)
            // What came in between and the next message would tell only later.
            if (seen !== reconnects) stream.readOn('reconnect')
          },
          close: () => stream.close()
        }
      } catch (error) {
        stream.close()
        throw error
      }
    },
    async drain(spreadMs) {
      draining = true
      await drainStreams([...all], spreadMs)
    },
    close() {
      wheel.close()
      for (const stream of all) stream.close()
    }
  }
}
