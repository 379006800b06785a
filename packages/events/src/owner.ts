import { setTimeout as delay } from 'node:timers/promises'
import type { Store } from '@skerry/store'
import { membershipOf, type Share } from './membership.ts'
import type { Log } from './metrics.ts'

/** Work that one instance of a service does at a time. */
export type Owned = {
  /**
   * Whether this instance works, or stands by and knows that another does; also while a stretch that ended is begun again. False while the
   * database is away, and where stretches fail one after the other.
   */
  attached(): boolean
  /** Whether this instance is the one that works. */
  owner(): boolean
  /** Ends the work and gives the role up. */
  stop(): Promise<void>
}

export type OwnedOptions = {
  store: Store
  name: string
  /** Where the role is one part of what all who want it share. */
  share?: Share
  instance: string
  log: Log
  /** How long a dead instance keeps its roles, in milliseconds (8,000). */
  leaseMs?: number
  /** One stretch of work: runs until its signal aborts, or throws to be started again. */
  work(signal: AbortSignal, working: () => void): Promise<void>
}

/** Work that has gone on for so long starts again without the delay of earlier failures. */
const WELL_AFTER_MS = 1_000
/** A stretch that is begun again so soon is no reason to send a service's requests elsewhere: about a second and a half of attempts. */
const SOON_AGAIN = 3
/** A dead instance's work goes to another within 10 s. */
const LEASE_MS = 8_000

/**
 * Runs work in a role (see `membershipOf`). A stretch that throws starts again after a growing delay; a lease that could not be renewed in
 * time ends the stretch. A paused owner may overlap its successor for a moment: the work must be harmless when done twice.
 */
export function runOwned(options: OwnedOptions): Owned {
  const { store, name, instance, log, leaseMs = LEASE_MS } = options
  const role = membershipOf({ store, instance, log, leaseMs }).join(name, options.share)
  const stopping = new AbortController()
  let working = false
  let failures = 0
  /** It was seen to stand by, or has worked: a stretch that begins now is expected to work as well, until some have failed. */
  let settled = false

  async function run(): Promise<void> {
    while (!stopping.signal.aborted) {
      let since = Number.POSITIVE_INFINITY
      try {
        const signal = AbortSignal.any([stopping.signal, await role.owned(stopping.signal)])
        await options.work(signal, () => {
          working = true
          settled = true
          since = Date.now()
        })
        failures = 0
      } catch (error) {
        if (stopping.signal.aborted) break
        failures = Date.now() - since > WELL_AFTER_MS ? 1 : failures + 1
        log.warn({ err: error, work: name, failures }, 'leased work failed: restarting it')
        working = false
        await delay(Math.min(5_000, 50 * 2 ** failures), undefined, { signal: stopping.signal }).catch(() => 'stopping')
      } finally {
        working = false
      }
    }
    await role.leave()
  }

  const done = run().catch((error: unknown) => {
    log.warn({ err: error, work: name }, 'failed to release a lease: it will expire')
  })
  return {
    attached() {
      const standing = role.standing()
      settled ||= standing === 'standby'
      return working || standing === 'standby' || (standing === 'owner' && settled && failures <= SOON_AGAIN)
    },
    owner: () => working,
    async stop() {
      if (options.share !== undefined) role.withdraw()
      stopping.abort(new Error('stopping'))
      await done
    }
  }
}
