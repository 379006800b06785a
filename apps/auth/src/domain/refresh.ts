import { type Grant, SkerryError } from '@skerry/contracts'
import type { CallContext } from '@skerry/store'
import { findAccount } from '../data/accounts.ts'
import { findSession, rotate, type SessionDocument, takeLateRepeat } from '../data/sessions.ts'
import type { Deps } from './deps.ts'
import { grantOf } from './grant.ts'
import { judge, rotated, withLateRepeat } from './refresh-rules.ts'
import { newestOf, nextRefreshToken, type RefreshToken, readRefreshToken } from './refresh-token.ts'
import { endSession } from './revoke.ts'

/** How often a request starts anew when others rotate the same session under it. */
const ATTEMPTS = 5

/** Trades a refresh token for a new grant, as `judge` says. A stolen one ends the session, and with it the newest token. */
export async function refresh(deps: Deps, text: string, call: CallContext): Promise<Grant> {
  const token = readRefreshToken(text)
  if (token === undefined) throw bad()
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const session = await findSession(deps.store, token.sessionId)
    if (session === null || session.familyHash !== token.familyHash || hasEnded(session, deps.now())) throw bad()
    const next = await advance(deps, session, token)
    if (next === 'again') continue
    if (next === 'stolen') {
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
): Promise<RefreshToken | 'again' | 'stolen'> {
  const { store, limits, refreshSecret } = deps
  const now = new Date(deps.now())
  const used = { lastUsedAt: now, expiresAt: new Date(now.getTime() + limits.refreshTtlMs) }
  const verdict = judge(session, token.hash, now.getTime(), limits.refreshGraceMs)
  if (verdict === 'stolen') return 'stolen'
  if (verdict === 'current') {
    const next = nextRefreshToken(token, refreshSecret)
    const change = { ...used, ...rotated(session, next.hash, now, limits.refreshGraceMs) }
    return (await rotate(store, session, change)) ? next : 'again'
  }
  if (verdict === 'late' && !(await takeLateRepeat(store, session, withLateRepeat(session, now)))) return 'again'
  const newest = newestOf(token, session.tokenHash, refreshSecret)
  if (newest !== undefined) return newest
  // The signing key has changed since the rotation, so the same token cannot be made again: another takes its place.
  const next = nextRefreshToken(token, refreshSecret)
  return (await rotate(store, session, { ...used, tokenHash: next.hash })) ? next : 'again'
}

function hasEnded(session: SessionDocument, now: number): boolean {
  return session.revokedAt !== undefined || session.expiresAt.getTime() <= now
}

function bad(headers?: Record<string, string>): SkerryError {
  return new SkerryError('AUTH_BAD_REFRESH_TOKEN', headers === undefined ? {} : { headers })
}
