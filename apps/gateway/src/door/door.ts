import { SkerryError } from '@skerry/contracts'
import { bearerOf, type Caller, type FaultLog, type Identity } from '@skerry/service'
import type { LimitPolicies, LimitPolicy } from '../limits/limit-policies.ts'
import type { Limiter, Verdict } from '../limits/limiter.ts'
import type { Overload } from '../overload/overload.ts'
import { overloaded } from '../overload/place.ts'
import { priorityOf } from '../overload/priority.ts'
import type { Routes } from '../routing/routes.ts'
import { clientAddress, clientProtocol, limitedAddress, type Networks } from './address.ts'
import { lookAtHead } from './look-at-head.ts'
import type { Visit } from './visit.ts'

export type DoorOptions = {
  /** Without it no token makes a caller. */
  identity: Identity | undefined
  limiter: Limiter
  limitPolicies: LimitPolicies
  routes: Routes
  trusted: Networks
  exempt: Networks
  urlLimit: number
  overload: Pick<Overload, 'atDoor'>
  /** What policies say to a visit; undefined where there are none. */
  onRequest?: ((visit: Visit) => SkerryError | undefined) | undefined
  onLimited(policy: LimitPolicy): void
  /** Takes in what was thrown behind a promise; the visit is then refused. */
  onFault: FaultLog
}

const WRITES = ['POST', 'PUT', 'PATCH', 'DELETE'] as const

/** Is called when a visit is in, or with why not. */
type Done = (error?: Error) => void

/** Lets a visit in, or calls `done` with why not; at once or later. */
export type Door = (visit: Visit, done: Done) => void

/**
 * What each request passes, in this order (docs/gateway-clients.md, "The door"): it is what it seems; the gateway is not under pressure; no
 * policy refuses it; its token, if it has one, is good; its limit is not used up; nothing is wrong with its path or its body, and somebody
 * answers it. A request whose token is known and whose quota is leased passes without a promise.
 */
export function createDoor(options: DoorOptions): Door {
  const {
    identity,
    limiter,
    limitPolicies,
    routes,
    trusted,
    exempt,
    urlLimit,
    overload,
    onRequest,
    onLimited,
    onFault
  } = options

  return (visit, done) => {
    const { raw } = visit
    try {
      lookAtHead(visit, urlLimit, takersOfBody)
    } catch (error) {
      done(error as Error)
      return
    }
    // The gateway's own routes are no service's, whatever it announces; and a path that is none has no route.
    const match = visit.own || visit.path === '' ? undefined : routes.find(visit.method, visit.path)
    const route = match?.route
    if (match !== undefined) {
      visit.route = match.route
      visit.params = match.params
    }
    visit.priority = priorityOf(route?.rules, visit.method, raw.headers)
    // Before whatever costs more than to refuse.
    const refusedBy = overload.atDoor(visit.priority)
    if (refusedBy !== undefined) {
      done(overloaded(refusedBy))
      return
    }
    visit.address = clientAddress(raw, trusted)
    visit.protocol = clientProtocol(raw, trusted)
    if (onRequest !== undefined) {
      // It may change headers.
      raw.ownHeaders?.()
      const refused = onRequest(visit)
      if (refused !== undefined) {
        done(refused)
        return
      }
    }

    const header = raw.headers.authorization
    // What is refused anyway is no reason to verify one: it counts for its address.
    const ignored = route?.ignoresToken === true || visit.ignoresToken || visit.fault !== undefined
    if (header === undefined || ignored || identity === undefined) {
      limit(visit, undefined, done)
      return
    }
    const token = bearerOf(header)
    const known = token === undefined ? undefined : identity.verifyCached(token)
    if (known !== undefined) limit(visit, known, done)
    else verify(visit, identity, token, done)
  }

  // Not within: closures for each of these would be made for every visit.

  function limit(visit: Visit, caller: Caller | undefined, done: Done): void {
    visit.caller = caller
    const set = limitPolicies.setOf(visit.route?.rules, caller)
    const verdict = limiter.takeAll(set, caller, addressSubject(visit.address))
    if (verdict === undefined) enter(visit, done)
    else if (verdict instanceof Promise) judgeLater(visit, verdict, done)
    else judge(visit, verdict, done)
  }

  function judgeLater(visit: Visit, verdict: Promise<Verdict>, done: Done): void {
    verdict.then((one) => judge(visit, one, done), done).catch((error) => failed(error, done))
  }

  function judge(visit: Visit, verdict: Verdict, done: Done): void {
    visit.verdict = verdict
    if (verdict.allowed) enter(visit, done)
    else done(refusal(verdict))
  }

  function enter({ route, caller, own, fault }: Visit, done: Done): void {
    if (fault !== undefined) done(fault)
    else if (route?.needsToken === true && caller === undefined) done(new SkerryError('UNAUTHENTICATED'))
    else if (route === undefined && !own) done(new SkerryError('NOT_FOUND', { detail: 'There is no such route.' }))
    else done()
  }

  /** Bad tokens count for their address; when it has had its share, unknown tokens from there cost no cryptography. */
  function verify(visit: Visit, identity: Identity, unknown: string | undefined, done: Done): void {
    const subject = addressSubject(visit.address)
    const refused = subject === undefined ? undefined : limiter.refused(limitPolicies.badToken, subject)
    if (refused !== undefined) {
      judge(visit, refused, done)
      return
    }
    const verified =
      unknown === undefined
        ? Promise.reject(
            new SkerryError('UNAUTHENTICATED', { detail: 'The Authorization header must be: Bearer <access token>.' })
          )
        : identity.verify(unknown, visit.route?.endedSession)
    verified
      .then(
        (caller) => limit(visit, caller, done),
        async (error: Error) => {
          if (subject === undefined) return done(error)
          const verdict = await limiter.take(limitPolicies.badToken, subject)
          visit.verdict = verdict
          done(verdict.allowed ? error : refusal(verdict))
        }
      )
      .catch((error) => failed(error, done))
  }

  /** Behind a promise nobody else would hear of it. */
  function failed(error: unknown, done: Done): void {
    onFault('door', error)
    done(new SkerryError('INTERNAL', { cause: error }))
  }

  /** The methods that take a body where that of a visit, which takes none, is not declared. */
  function takersOfBody({ method, path }: Visit): readonly string[] {
    const declared = (one: string) => (routes.find(one, path)?.route.method ?? '*') !== '*'
    return declared(method) ? [] : WRITES.filter(declared)
  }

  function addressSubject(address: string): string | undefined {
    return exempt.has(address) ? undefined : limitedAddress(address)
  }

  function refusal(verdict: Verdict): SkerryError {
    onLimited(verdict.policy)
    return new SkerryError('RATE_LIMITED', { retryAfter: verdict.retrySeconds })
  }
}
