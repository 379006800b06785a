import type { PageOf, Session } from '@skerry/contracts'
import { SkerryError } from '@skerry/contracts'
import { bucketOf, type CallContext, decodeCursor, toPage } from '@skerry/store'
import { findSession, listSessions } from '../data/sessions.ts'
import type { Deps } from './deps.ts'
import { endSession } from './revoke.ts'

export type Who = { userId: string; sessionId: string }

/** Where a request comes from, and what its client says of itself. */
export type Client = { address: string; userAgent: string | null }

const LIST = 'sessions'
const DEFAULT_LIMIT = 20

/** A page of the caller's sessions, newest first. */
export async function sessionsOf(
  deps: Deps,
  who: Who,
  query: { limit?: number; cursor?: string }
): Promise<PageOf<Session>> {
  const limit = query.limit ?? DEFAULT_LIMIT
  const [before] = decodeCursor(LIST, query.cursor, ['string']) ?? []
  const found = await listSessions(deps.store, who.userId, {
    before: before as string | undefined,
    limit: limit + 1,
    now: new Date(deps.now())
  })
  return toPage(
    LIST,
    found,
    limit,
    (session) => [session._id],
    (session) => ({
      id: session._id,
      current: session._id === who.sessionId,
      userAgent: session.userAgent,
      createdAt: session.createdAt.toISOString(),
      lastUsedAt: session.lastUsedAt.toISOString()
    })
  )
}

/**
 * Ends one of the caller's sessions. One that has ended before is no error, one that is not theirs does not exist. Who comes with a session
 * that has ended may only end that one again.
 */
export async function endOneOf(deps: Deps, who: Who, sessionId: string, call: CallContext): Promise<void> {
  if (sessionId !== who.sessionId) {
    const own = await findSession(deps.store, who.sessionId)
    if (own === null || own.revokedAt !== undefined) throw new SkerryError('SESSION_REVOKED')
  }
  const theirs = bucketOf(sessionId) === bucketOf(who.userId) ? await findSession(deps.store, sessionId) : null
  if (theirs?.userId !== who.userId) throw new SkerryError('AUTH_SESSION_NOT_FOUND')
  await endSession(deps, who.userId, sessionId, 'ended', call)
}
