import { type Grant, SkerryError } from '@skerry/contracts'
import type { CallContext } from '@skerry/store'
import { findAccount } from '../data/accounts.ts'
import { findSession, rotate, type SessionDocument, takeLateRepeat } from '../data/sessions.ts'
import type { Deps } from './deps.ts'
import { grantOf } from './grant.ts'
import { nextRefreshToken, type RefreshToken, readRefreshToken } from './refresh-token.ts'
import { endSession } from './revoke.ts'

/** How often a request starts anew when others rotate the same session under it. */
const ATTEMPTS = 5
const DAY_MS = 24 * 3600 * 1000

/**
 * Trades a refresh token for a new grant. Each token is good until the one after it is used:
 * - the current one rotates the session;
 * - the one before gets the same new token again, as often as it comes within the grace, and later once a day: a phone may have lost
 *   the answer. A thief and an owner who take turns are found out by the second time;
 * - an older one is a stolen one, or its thief has been here: the session ends.
 */
export async function refresh(deps: Deps, text: string, call: CallContext): Promise<Grant> {
  const token = readRefreshToken(text)
  if (token === undefined) throw bad()
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const session = await findSession(deps.store, token.sessionId)
    if (session === null || session.familyHash !== token.familyHash || hasEnded(session, deps.now())) throw bad()
    const next = await advance(deps, session, token)
    if (next === 'again') continue
    if (next === 'reused') {
      await endSession(deps, session.userId, session._id, 'refresh_token_reused', call)
      throw bad({ [REVOKED_HEADER]: session._id })
    }
    const account = await findAccount(deps.store, session.userId)
    if (account === null) throw bad()
    return grantOf(deps, account, session, next.text)
  }
  throw new SkerryError('UNAVAILABLE', { detail: 'Too many concurrent refreshes of this session.', retryAfter: 1 })
}

/** What tells the gateway of ended sessions before the bucket does. */
export const REVOKED_HEADER = 'x-skerry-revoked'

async function advance(
  deps: Deps,
  session: SessionDocument,
  token: RefreshToken
): Promise<RefreshToken | 'again' | 'reused'> {
  const { store, limits } = deps
  const next = nextRefreshToken(token, deps.refreshSecret)
  const now = new Date(deps.now())
  const used = { lastUsedAt: now, expiresAt: new Date(now.getTime() + limits.refreshTtlMs) }
  if (session.tokenHash === token.hash) {
    const change = { ...used, tokenHash: next.hash, previousHash: token.hash, rotatedAt: now }
    return (await rotate(store, session, change)) ? next : 'again'
  }
  if (session.previousHash !== token.hash || session.rotatedAt === undefined) return 'reused'
  if (now.getTime() - graceStart(session) > limits.refreshGraceMs) {
    const dayAgo = new Date(now.getTime() - DAY_MS)
    if (session.lateRepeatAt !== undefined && session.lateRepeatAt > dayAgo) return 'reused'
    if (!(await takeLateRepeat(store, session, now, dayAgo))) return 'again'
  }
  if (next.hash === session.tokenHash) return next
  // The signing key has changed since the rotation, so the same token cannot be made again: this one takes its place.
  return (await rotate(store, session, { ...used, tokenHash: next.hash })) ? next : 'again'
}

/** A late repeat opens the grace anew, so that repeats that race count as one. */
function graceStart({ rotatedAt, lateRepeatAt }: SessionDocument): number {
  return Math.max(rotatedAt?.getTime() ?? 0, lateRepeatAt?.getTime() ?? 0)
}

function hasEnded(session: SessionDocument, now: number): boolean {
  return session.revokedAt !== undefined || session.expiresAt.getTime() <= now
}

function bad(headers?: Record<string, string>): SkerryError {
  return new SkerryError('AUTH_BAD_REFRESH_TOKEN', headers === undefined ? {} : { headers })
}
