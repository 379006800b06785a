import { SkerryError } from '@skerry/contracts'
import { bearerOf, type Caller, type Identity } from '@skerry/service'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Limiter, Verdict } from '../limits/limiter.ts'
import type { Policies, Policy, RouteRules, RulesOf } from '../limits/policies.ts'
import type { RouteTable } from '../upstreams/route-table.ts'
import { clientAddress, clientProtocol, limitedAddress, type Networks } from './address.ts'
import { guardPath } from './path-guard.ts'

/** What the door found out about a request that it let in. */
export type Admission = {
  address: string
  /** How the client came in: `http` or `https`. */
  protocol: string
  /** The service that answers. */
  service: string
  rules: RouteRules | undefined
}

declare module 'fastify' {
  interface FastifyRequest {
    /** Set once the request is let in. */
    admission: Admission | undefined
    /** How the request's limit stands; undefined where none holds. */
    verdict: Verdict | undefined
  }
}

export type DoorOptions = {
  /** Without it no token makes a caller. */
  identity: Identity | undefined
  limiter: Limiter
  policies: Policies
  rulesOf: RulesOf
  table: RouteTable
  trusted: Networks
  exempt: Networks
  urlLimit: number
  onLimited(policy: Policy): void
}

type Hook = (request: FastifyRequest, reply: FastifyReply, done: (error?: Error) => void) => void

/**
 * What each request passes, in this order: its path is what it seems; its token, if it has one, is good; its limit is not used up;
 * somebody answers its path. A request whose token is known and whose quota is leased passes without a promise.
 */
export function createDoor(options: DoorOptions): Hook {
  const { identity, limiter, policies, rulesOf, table, trusted, exempt, urlLimit, onLimited } = options

  return (request, _reply, done) => {
    const { raw } = request
    let path: string
    try {
      path = guardPath(raw.url ?? '', urlLimit)
      refuseOddBodies(request)
    } catch (error) {
      done(error as Error)
      return
    }
    const rules = rulesOf(raw.method ?? '', path)
    const address = clientAddress(raw, trusted)
    const enter = (error?: Error) => {
      if (error !== undefined) return done(error)
      // Also for WebSockets, which http-proxy accepts before the service has had its say.
      if (rules?.auth === 'required' && request.caller === undefined) return done(new SkerryError('UNAUTHENTICATED'))
      const service = table.find(path)
      if (service === undefined) return done(new SkerryError('NOT_FOUND', { detail: 'There is no such route.' }))
      request.admission = { address, protocol: clientProtocol(raw, trusted), service, rules }
      done()
    }

    const header = raw.headers.authorization
    // A route that takes no token ignores one: with an expired token a client must still be able to refresh it.
    if (header === undefined || rules?.auth === 'none' || identity === undefined) return limit(undefined)
    const token = bearerOf(header)
    const known = token === undefined ? undefined : identity.verifyCached(token)
    if (known !== undefined) return limit(known)
    verify(identity, token)

    function limit(caller: Caller | undefined): void {
      request.caller = caller
      const policy = policyOf(rules, caller)
      const subject = policy === policies.user && caller !== undefined ? caller.userId : addressSubject(address)
      if (subject === undefined) {
        enter()
        return
      }
      const verdict = limiter.take(policy, subject)
      if (verdict instanceof Promise) verdict.then(judge, done)
      else judge(verdict)
    }

    function judge(verdict: Verdict): void {
      request.verdict = verdict
      enter(verdict.allowed ? undefined : refusal(verdict))
    }

    /** Bad tokens count for their address; when it has had its share, unknown tokens from there cost no cryptography. */
    function verify(identity: Identity, unknown: string | undefined): void {
      const subject = addressSubject(address)
      const refused = subject === undefined ? undefined : limiter.refused(policies.badToken, subject)
      if (refused !== undefined) {
        judge(refused)
        return
      }
      const verified =
        unknown === undefined
          ? Promise.reject(
              new SkerryError('UNAUTHENTICATED', { detail: 'The Authorization header must be: Bearer <access token>.' })
            )
          : identity.verify(unknown)
      verified.then(limit, async (error: Error) => {
        if (subject === undefined) return done(error)
        const verdict = await limiter.take(policies.badToken, subject)
        request.verdict = verdict
        done(verdict.allowed ? error : refusal(verdict))
      })
    }
  }

  function policyOf(rules: RouteRules | undefined, caller: Caller | undefined): Policy {
    if (rules?.limit === 'sign-in') return policies.signIn
    if (rules?.limit === 'sign-up') return policies.signUp
    return caller === undefined ? policies.address : policies.user
  }

  function addressSubject(address: string): string | undefined {
    return exempt.has(address) ? undefined : limitedAddress(address)
  }

  function refusal(verdict: Verdict): SkerryError {
    onLimited(verdict.policy)
    return new SkerryError('RATE_LIMITED', { retryAfter: verdict.retrySeconds })
  }
}

/** Bodies that two servers could delimit in two ways, and bodies where HTTP gives them no meaning. */
function refuseOddBodies(request: FastifyRequest): void {
  const { method, headers } = request.raw
  const coding = headers['transfer-encoding']
  if (coding !== undefined && coding.toLowerCase() !== 'chunked') {
    throw new SkerryError('BAD_REQUEST', { detail: 'Transfer-Encoding can only be chunked.' })
  }
  if (method !== 'GET' && method !== 'HEAD') return
  const length = headers['content-length']
  if (coding !== undefined || (length !== undefined && length !== '0')) {
    throw new SkerryError('BAD_REQUEST', { detail: `A ${method} request has no body.` })
  }
}
