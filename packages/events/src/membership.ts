import { earlierLeases, leaveRoles, type RolesNow, readRoles, renewRoles, type Store } from '@skerry/store'
import type { Log } from './metrics.ts'
import { shareOut } from './shares.ts'

/** How a role stands for this instance: `away` while the database has not been heard for as long as a lease lasts. */
export type Standing = 'away' | 'standby' | 'owner'

/** A role that this instance wants, and may have. */
export type Role = {
  standing(): Standing
  /**
   * Resolves with a signal that lasts as long as the role is this instance's; rejects when `signal` aborts. Asked for again, it says that
   * the work of before has ended: a role that is another's share now goes to that one.
   */
  owned(signal: AbortSignal): Promise<AbortSignal>
  /** Takes no share any more in what the role is a part of: the others may begin with what this instance does not have. */
  withdraw(): void
  /** Gives the role up. Rejects when the database did not take it: then it ends with the lease. */
  leave(): Promise<void>
}

/** A role that is one of several equal parts, which all who want them share: which part of what, and how many there are. */
export type Share = { what: string; part: number; of: number }

export type Membership = { join(name: string, share?: Share): Role }

export type MembershipOptions = { store: Store; instance: string; log: Log; leaseMs: number }

type Wanted = {
  standing: Standing
  share: Share | undefined
  /** It is another's share now, and is given up once the work in it has ended. */
  yielding: boolean
  /** It will be given up, and nothing of what it is a part of is taken any more. */
  leaving: boolean
  lost: AbortController
  waiting: Set<() => void>
}

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
 * order is followed within a fraction of the lease. Of roles that are shared it takes those that are its share among the members it has
 * heard of, and that nobody has.
 */
function createMembership({ store, instance, log, leaseMs }: MembershipOptions): Membership {
  const roles = new Map<string, Wanted>()
  /** Whether processes of a release that had a lease for each role may still work. */
  let earlier = true
  let heardAt = Number.NEGATIVE_INFINITY
  /** Who lived when the database was last heard; nobody is known at first. */
  let members: RolesNow['members'] = new Map()
  /** Whose each part is of what is shared, by them. */
  const shared = new Map<string, readonly string[]>()
  let timer: NodeJS.Timeout | undefined
  let looking: NodeJS.Timeout | undefined
  let running: Promise<void> | undefined
  let again: Promise<void> | undefined

  function stand(name: string, role: Wanted, standing: Standing, why: string): void {
    if (standing !== 'owner') role.yielding = false
    if (role.standing === standing) return
    if (role.standing === 'owner') {
      role.lost.abort(new Error(why))
      role.lost = new AbortController()
    }
    role.standing = standing
    log.debug({ role: name, instance, standing }, 'a role has changed')
    for (const wake of role.waiting) wake()
  }

  function hear(now: RolesNow): void {
    members = now.members
    shared.clear()
  }

  /** Whether a role is this instance's to take, as far as it has heard. */
  function isOurs({ share, leaving }: Wanted): boolean {
    if (leaving) return false
    if (share === undefined) return true
    let takers = shared.get(share.what)
    if (takers === undefined) {
      const sharing = [...members].flatMap(([member, shares]) => (shares.has(share.what) ? [member] : []))
      takers = shareOut(share.what, share.of, sharing)
      shared.set(share.what, takers)
    }
    return takers[share.part] === instance
  }

  /** What is had and no more this instance's share is worked off. */
  function yieldShares(): void {
    for (const [name, role] of roles) {
      if (role.standing !== 'owner' || role.yielding || role.leaving || isOurs(role)) continue
      role.yielding = true
      log.debug({ role: name, instance }, 'a role goes to another instance')
      role.lost.abort(new Error('the role is the share of another instance'))
    }
  }

  async function renew(): Promise<void> {
    const at = performance.now()
    if (roles.size === 0) return leaveRoles(store, instance)
    const wants = [...roles].flatMap(([name, role]) => (role.standing === 'owner' || isOurs(role) ? [name] : []))
    const shares = new Set<string>()
    for (const { share, leaving } of roles.values()) if (share !== undefined && !leaving) shares.add(share.what)
    earlier &&= await earlierLeases(store)
    if (earlier) {
      // The database was heard, and says that somebody works.
      heardAt = at
      for (const [name, role] of roles) stand(name, role, 'standby', 'a process of an earlier release has the role')
      return
    }
    const renewed = await renewRoles(store, { member: instance, wants, shares: [...shares], ttlMs: leaseMs })
    heardAt = at
    hear(renewed)
    let given = false
    for (const [name, role] of roles) {
      if (renewed.mine.has(name)) {
        // It may have been given up while this was on its way, or have become another's share: then the next renewal says so.
        if (role.standing !== 'owner' && !isOurs(role)) given = true
        else if (!role.yielding) stand(name, role, 'owner', '')
      } else if (wants.includes(name) || !isOurs(role)) stand(name, role, 'standby', 'another instance has the role')
    }
    yieldShares()
    // What has become this instance's share since it asked, and is free.
    if (given || isAnyFree(renewed.owners)) void ask().catch(failed)
  }

  function isAnyFree(owners: RolesNow['owners']): boolean {
    return [...roles].some(([name, role]) => role.standing !== 'owner' && !owners.has(name) && isOurs(role))
  }

  function failed(error: unknown): void {
    log.warn({ err: error, instance }, 'failed to renew the leases')
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
    ask().catch(failed)
  }

  async function look(): Promise<void> {
    if (![...roles.values()].some(({ standing }) => standing === 'standby')) return
    try {
      const now = await readRoles(store)
      hear(now)
      yieldShares()
      if (isAnyFree(now.owners)) await ask()
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
    hear({ members: new Map(), owners: new Map() })
  }

  return {
    join(name, share) {
      if (roles.has(name)) throw new Error(`${instance} has joined for ${name}`)
      const role: Wanted = {
        ...{ standing: 'away', share, yielding: false, leaving: false },
        ...{ lost: new AbortController(), waiting: new Set() }
      }
      roles.set(name, role)
      begin()
      tick()
      return {
        standing: () => role.standing,
        async owned(signal) {
          if (role.yielding) {
            stand(name, role, 'standby', 'the role is the share of another instance')
            ask().catch(failed)
          }
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
        withdraw() {
          role.leaving = true
          ask().catch(failed)
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
