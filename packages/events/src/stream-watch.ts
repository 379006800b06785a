import { jetstreamManager } from '@nats-io/jetstream'
import type { NatsConnection } from '@nats-io/transport-node'
import type { Store } from '@skerry/store'
import { watchConnection } from './connection.ts'
import type { Log } from './metrics.ts'
import { inspectStream } from './streams.ts'

/** What a look at a service's stream found. */
export type Found = Awaited<ReturnType<typeof inspectStream>>

/** Looks at a service's own stream now and then, for all in this instance that have to know how it is. */
export type StreamWatch = {
  /** Tells a listener of each look, until the returned function is called. Without listeners nobody looks. */
  on(listener: (found: Found) => void): () => void
  /** Looks at once. */
  look(): Promise<void>
  stop(): void
}

export function createStreamWatch(options: {
  store: Store
  nc: NatsConnection
  service: string
  log: Log
  everyMs: number
}): StreamWatch {
  const { store, nc, service, log } = options
  const listeners = new Set<(found: Found) => void>()
  const stopping = new AbortController()
  let looking: Promise<void> | undefined

  async function inspect(): Promise<void> {
    try {
      const jsm = await jetstreamManager(nc, { checkAPI: false, timeout: 3_000 })
      const found = await inspectStream(store, jsm, service)
      if (listeners.size > 0 && found.damage !== undefined)
        log.warn({ service, damage: found.damage }, 'the stream was damaged')
      for (const tell of [...listeners]) tell(found)
    } catch (error) {
      log.debug({ err: error }, 'failed to check the stream')
    }
  }

  function look(): Promise<void> {
    looking ??= inspect().finally(() => {
      looking = undefined
    })
    return looking
  }
  const timer = setInterval(() => {
    if (listeners.size > 0) void look()
  }, options.everyMs).unref()
  // Another server may be behind it by then.
  watchConnection(nc, stopping.signal, (what) => {
    if (what === 'back' && listeners.size > 0) void look()
  })

  return {
    on(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    look,
    stop() {
      clearInterval(timer)
      stopping.abort()
    }
  }
}
