import { setTimeout as delay } from 'node:timers/promises'
import { releaseLease, type Store, takeLease } from '@skerry/store'
import type { Log } from './metrics.ts'

/** Work that one instance of a service does at a time. */
export type Owned = {
  /** Whether this instance works, or stands by and knows that another does. False while the lease's store is away. */
  attached(): boolean
  /** Whether this instance is the one that works. */
  owner(): boolean
  /** Ends the work and gives the lease back. */
  stop(): Promise<void>
}

export type OwnedOptions = {
  store: Store
  name: string
  instance: string
  log: Log
  /** How long a dead owner's lease lasts, in milliseconds. */
  leaseMs?: number
  /** One stretch of work: runs until its signal aborts, or throws to be started again. */
  work(signal: AbortSignal, working: () => void): Promise<void>
}

/** Work that has gone on for so long starts again without the delay of earlier failures. */
const WELL_AFTER_MS = 1_000

/**
 * Runs work under a lease. A stretch that throws starts again after a growing delay; a lease that could not be renewed in time ends the
 * stretch. A paused owner may overlap its successor for a moment: the work must be harmless when done twice.
 */
export function runOwned(options: OwnedOptions): Owned {
  const { store, name, instance, log } = options
  const leaseMs = options.leaseMs ?? 5_000
  const stopping = new AbortController()
  let state: 'away' | 'standby' | 'starting' | 'working' = 'away'

  /** @param well told when the work had gone on for a while */
  async function stretch(well: () => void): Promise<void> {
    const lost = new AbortController()
    const signal = AbortSignal.any([stopping.signal, lost.signal])
    let renewedAt = Date.now()
    let renewing = false
    const timer = setInterval(() => {
      if (Date.now() - renewedAt > leaseMs) lost.abort(new Error('the lease ran out'))
      if (renewing) return
      renewing = true
      const at = Date.now()
      takeLease(store, name, instance, leaseMs)
        .then((epoch) => {
          if (epoch === undefined) lost.abort(new Error('another instance took the lease'))
          else renewedAt = at
        })
        .catch((error: unknown) => log.warn({ err: error, lease: name }, 'failed to renew a lease'))
        .finally(() => {
          renewing = false
        })
    }, leaseMs / 4)
    state = 'starting'
    let workingSince = Number.POSITIVE_INFINITY
    try {
      await options.work(signal, () => {
        state = 'working'
        workingSince = Date.now()
      })
    } finally {
      if (Date.now() - workingSince > WELL_AFTER_MS) well()
      clearInterval(timer)
      state = 'away'
    }
  }

  async function run(): Promise<void> {
    let failures = 0
    while (!stopping.signal.aborted) {
      try {
        const epoch = await takeLease(store, name, instance, leaseMs)
        // The lease is given back below.
        if (stopping.signal.aborted) break
        if (epoch === undefined) {
          state = 'standby'
          await delay(leaseMs / 4, undefined, { signal: stopping.signal, ref: false })
          continue
        }
        await stretch(() => {
          failures = 0
        })
        failures = 0
      } catch (error) {
        if (stopping.signal.aborted) break
        failures++
        log.warn({ err: error, work: name, failures }, 'leased work failed: restarting it')
        await delay(Math.min(5_000, 50 * 2 ** failures), undefined, { signal: stopping.signal }).catch(() => 'stopping')
      }
    }
    await releaseLease(store, name, instance)
  }

  const done = run().catch((error: unknown) => {
    if (!stopping.signal.aborted) throw error
    log.warn({ err: error, work: name }, 'failed to release a lease: it will expire')
  })
  return {
    attached: () => state === 'working' || state === 'standby',
    owner: () => state === 'working',
    async stop() {
      stopping.abort(new Error('stopping'))
      await done
    }
  }
}
