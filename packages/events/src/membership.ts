import { earlierLeases, leaveRoles, readRoles, renewRoles, type Store } from '@skerry/store'
import type { Log } from './metrics.ts'

/** How a role stands for this instance: `away` while the database has not been heard for as long as a lease lasts. */
export type Standing = 'away' | 'standby' | 'owner'

/** A role that this instance wants, and may have. */
export type Role = {
  standing(): Standing
  /** Resolves with a signal that lasts as long as the role is this instance's; rejects when `signal` aborts. */
  owned(signal: AbortSignal): Promise<AbortSignal>
  /** Gives the role up. Rejects when the database did not take it: then it ends with the lease. */
  leave(): Promise<void>
}

export type Membership = { join(name: string): Role }

export type MembershipOptions = { store: Store; instance: string; log: Log; leaseMs: number }

type Wanted = { standing: Standing; lost: AbortController; waiting: Set<() => void> }

/** By what the views of one store share: its connection and the name of its database. */
const memberships = new WeakMap<Store['client'], Map<string, Membership>>()

/** The membership of an instance: all roles that it wants are renewed by one write. The lease is the first caller's. */
export function membershipOf(options: MembershipOptions): Membership {
  const { store, instance } = options
  const ofClient = memberships.get(store.client) ?? new Map<string, Membership>()
  memberships.set(store.client, ofClient)
  const key = `${store.db.databaseName} ${instance}`
  const known = ofClient.get(key) ?? createMembership(options)
  ofClient.set(key, known)
  return known
}

/**
 * Renews three times in the time of a lease. While a role is somebody else's its owner is looked at more often, by a read: one that left in
 * order is followed within a fraction of the lease.
 */
function createMembership({ store, instance, log, leaseMs }: MembershipOptions): Membership {
  const roles = new Map<string, Wanted>()
  /** Whether processes of a release that had a lease for each role may still work. */
  let earlier = true
  let heardAt = Number.NEGATIVE_INFINITY
  let timer: NodeJS.Timeout | undefined
  let looking: NodeJS.Timeout | undefined
  let running: Promise<void> | undefined
  let again: Promise<void> | undefined

  function stand(name: string, role: Wanted, standing: Standing, why: string): void {
    if (role.standing === standing) return
    if (role.standing === 'owner') {
      role.lost.abort(new Error(why))
      role.lost = new AbortController()
    }
    role.standing = standing
    log.debug({ role: name, instance, standing }, 'a role has changed')
    for (const wake of role.waiting) wake()
  }

  async function renew(): Promise<void> {
    const wants = [...roles.keys()]
    const at = performance.now()
    if (wants.length === 0) return leaveRoles(store, instance)
    earlier &&= await earlierLeases(store)
    if (earlier) {
      // The database was heard, and says that somebody works.
      heardAt = at
      for (const [name, role] of roles) stand(name, role, 'standby', 'a process of an earlier release has the role')
      return
    }
    const { mine } = await renewRoles(store, { member: instance, wants, ttlMs: leaseMs })
    heardAt = at
    for (const name of wants) {
      const role = roles.get(name)
      if (role !== undefined) stand(name, role, mine.has(name) ? 'owner' : 'standby', 'another instance has the role')
    }
  }

  /** One renewal at a time; those that ask while one runs share the next. */
  function ask(): Promise<void> {
    if (running === undefined) {
      running = Promise.resolve()
        .then(renew)
        .finally(() => {
          running = undefined
        })
      return running
    }
    again ??= running
      .catch(() => 'the next one says more')
      .then(() => {
        again = undefined
        return ask()
      })
    return again
  }

  function tick(): void {
    // By a clock that nobody sets: one that is put back would keep the roles of an instance that hears nothing of the database.
    if (performance.now() - heardAt > leaseMs)
      for (const [name, role] of roles) stand(name, role, 'away', 'the lease ran out')
    ask().catch((error: unknown) => log.warn({ err: error, instance }, 'failed to renew the leases'))
  }

  async function look(): Promise<void> {
    const standby = [...roles].filter(([, { standing }]) => standing === 'standby')
    if (standby.length === 0) return
    try {
      const owners = await readRoles(store)
      if (standby.some(([name]) => !owners.has(name))) await ask()
    } catch (error) {
      log.debug({ err: error, instance }, 'failed to look who has the roles')
    }
  }

  function begin(): void {
    if (timer !== undefined) return
    timer = setInterval(tick, leaseMs / 3).unref()
    looking = setInterval(() => void look(), leaseMs / 12).unref()
  }

  function end(): void {
    clearInterval(timer)
    clearInterval(looking)
    timer = undefined
    looking = undefined
    heardAt = Number.NEGATIVE_INFINITY
  }

  return {
    join(name) {
      if (roles.has(name)) throw new Error(`${instance} has joined for ${name}`)
      const role: Wanted = { standing: 'away', lost: new AbortController(), waiting: new Set() }
      roles.set(name, role)
      begin()
      tick()
      return {
        standing: () => role.standing,
        async owned(signal) {
          while (role.standing !== 'owner') {
            signal.throwIfAborted()
            await new Promise<void>((resolve) => {
              const wake = () => {
                role.waiting.delete(wake)
                signal.removeEventListener('abort', wake)
                resolve()
              }
              role.waiting.add(wake)
              signal.addEventListener('abort', wake, { once: true })
            })
          }
          return role.lost.signal
        },
        async leave() {
          roles.delete(name)
          role.lost.abort(new Error('the role was given up'))
          if (roles.size === 0) end()
          await ask()
        }
      }
    }
  }
}
