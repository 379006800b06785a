import { setTimeout as delay } from 'node:timers/promises'
import type { Grant } from '@skerry/contracts'
import { bucketOf } from '@skerry/store'
import type { ApiAnswer, ApiRequest, Visit } from '../api.ts'
import {
  claimRenewal,
  deleteSession,
  findSession,
  giveRenewalBack,
  insertSession,
  type SessionDocument,
  saveSealed
} from '../data/sessions.ts'
import { ConduitError, unauthorized, unavailable } from '../errors.ts'
import type { Deps } from './deps.ts'
import { hashOf, isToken, newToken, open, type Secrets, seal, sessionIdOf } from './token.ts'

/** Somebody who is signed in, and what Conduit acts for them with. */
export type Session = Secrets & { id: string; userId: string; token: string; version: number }

/** Renewed so long before it expires, in milliseconds. */
const AHEAD_MS = 30_000
/** How long one instance has for a renewal before another may take it over. */
const RENEWAL_MS = 10_000
const LOOK_AGAIN_MS = 25

/** Begins a session with a grant of Skerry; answers with the token in it. */
export async function beginSession(deps: Deps, grant: Grant): Promise<Session> {
  const { limits, now } = deps
  const { id: userId } = grant.user
  const { id } = grant.session
  const token = newToken({ userId, sessionId: id, now: now(), ttlS: limits.TOKEN_TTL_S })
  const secrets = secretsOf(grant)
  await insertSession(deps.store, {
    _id: id,
    bucket: bucketOf(id),
    userId,
    tokenHash: hashOf(token),
    sealed: seal(token, id, secrets),
    accessUntil: accessUntil(deps, grant),
    version: 1,
    expiresAt: new Date(now() + limits.TOKEN_TTL_S * 1000)
  })
  return { ...secrets, id, userId, token, version: 1 }
}

/**
 * Who an `Authorization: Token …` header speaks for; undefined without one. Some front ends that are signed out send the words
 * `undefined` or `null`, which is none too. Throws 401 for a token that is not good, or no more.
 */
export async function authenticate(deps: Deps, header: string | undefined, visit: Visit): Promise<Session | undefined> {
  const token = /^(?:Token|Bearer) +(\S+)$/i.exec(header ?? '')?.[1]
  if (token === 'undefined' || token === 'null') return undefined
  if (token === undefined) {
    if (header === undefined || /^(?:Token|Bearer)\s*$/i.test(header)) return undefined
    throw unauthorized()
  }
  const id = sessionIdOf(token)
  const found = id === undefined ? undefined : await findSession(deps.store, id)
  if (found === undefined || !isToken(token, found.tokenHash) || found.expiresAt.getTime() <= deps.now())
    throw unauthorized()
  const session = sessionOf(found, token)
  // Nothing is answered on a token that Skerry would refuse: that is how an end is noticed while no events come.
  const due = found.stale === true || found.accessUntil.getTime() - deps.now() < AHEAD_MS
  if (!due) return session
  return renew(deps, session, visit).catch((error) => {
    // Auth is away: what there is may still be good for a while.
    if (
      error instanceof ConduitError &&
      (error.status === 503 || error.status === 429) &&
      found.accessUntil.getTime() > deps.now()
    )
      return session
    throw error
  })
}

/** Calls the API for somebody; once more with a new access token when it refuses the one there is. Throws 401 when Skerry ended the session. */
export async function callAs<T>(
  deps: Deps,
  session: Session,
  request: ApiRequest,
  visit: Visit
): Promise<ApiAnswer<T>> {
  const first = await deps.api<T>({ ...request, token: session.accessToken }, visit)
  if (first.status !== 401) return first
  const renewed = await renew(deps, session, visit)
  const second = await deps.api<T>({ ...request, token: renewed.accessToken }, visit)
  if (second.status === 401) await end(deps, session.id)
  return second
}

/**
 * Trades the refresh token for a new grant: one instance does, the others wait for what it stores. Throws 401 when Skerry has ended the
 * session, 503 when nobody could renew it in time.
 */
async function renew(deps: Deps, session: Session, visit: Visit): Promise<Session> {
  const { store, api } = deps
  const { id, token } = session
  while (visit.call.remainingMs() > 0) {
    const found = await findSession(store, id)
    if (found === undefined) throw unauthorized()
    const current = sessionOf(found, token)
    if (found.version !== session.version && found.stale !== true) return current
    if (!(await claimRenewal(store, id, found.version, RENEWAL_MS))) {
      await delay(LOOK_AGAIN_MS)
      continue
    }
    const request = { method: 'POST', path: '/v1/auth/refresh', body: { refreshToken: current.refreshToken } } as const
    const answer = await api<Grant>(request, visit).catch(async (error) => {
      await giveRenewalBack(store, id, found.version)
      throw error
    })
    if (answer.status !== 200) return end(deps, id)
    const secrets = secretsOf(answer.body)
    const state = { sealed: seal(token, id, secrets), accessUntil: accessUntil(deps, answer.body) }
    if (await saveSealed(store, { _id: id, version: found.version }, state))
      return { ...session, ...secrets, version: found.version + 1 }
  }
  throw unavailable()
}

/** Keeps a changed email with the session that changed it. A renewal that is quicker brings it too. */
export async function keepEmail(deps: Deps, session: Session, email: string): Promise<void> {
  const { id, token, version, accessToken, refreshToken } = session
  const found = await findSession(deps.store, id)
  if (found === undefined || found.version !== version) return
  const sealed = seal(token, id, { accessToken, refreshToken, email })
  await saveSealed(deps.store, { _id: id, version }, { sealed, accessUntil: found.accessUntil })
}

async function end(deps: Deps, id: string): Promise<never> {
  await deleteSession(deps.store, id)
  throw unauthorized()
}

function sessionOf(found: SessionDocument, token: string): Session {
  const { _id: id, userId, version } = found
  return { ...open(token, id, found.sealed), id, userId, token, version }
}

function secretsOf({ accessToken, refreshToken, user }: Grant): Secrets {
  return { accessToken, refreshToken, email: user.email }
}

function accessUntil({ now }: Deps, { expiresIn }: Grant): Date {
  return new Date(now() + expiresIn * 1000)
}
