import { SessionRevoked } from '@skerry/contracts'
import { publish } from '@skerry/events'
import { type CallContext, type Tx, transaction } from '@skerry/store'
import { activeSessionIds, markRevoked } from '../data/sessions.ts'
import type { Deps } from './deps.ts'

export type Reason =
  | 'logout'
  | 'ended'
  | 'password_changed'
  | 'refresh_token_reused'
  | 'too_many'
  | 'expired'
  | 'account_deleted'

/** Sessions that one transaction ends at most; a user has fewer, unless MAX_SESSIONS was lowered. */
const BATCH = 1_000

/** Ends sessions of a user within a transaction; answers those that had not ended before. Tell of them once it has committed. */
export async function endSessions(
  deps: Deps,
  tx: Tx,
  userId: string,
  sessionIds: readonly string[],
  reason: Reason
): Promise<string[]> {
  const at = new Date(deps.now())
  const ended: string[] = []
  for (const sessionId of sessionIds) {
    if (!(await markRevoked(deps.store, tx, userId, sessionId, at))) continue
    publish(deps.store, tx, SessionRevoked, { sessionId, userId, reason })
    ended.push(sessionId)
  }
  return ended
}

/** Ends all sessions of a user but one. */
export async function endOthers(deps: Deps, tx: Tx, userId: string, but: string, reason: Reason): Promise<string[]> {
  const active = await activeSessionIds(deps.store, tx, userId, { skip: 0, limit: BATCH })
  return endSessions(
    deps,
    tx,
    userId,
    active.filter((id) => id !== but),
    reason
  )
}

/** Ends the oldest sessions of a user who has more than MAX_SESSIONS. */
export async function endOldest(deps: Deps, tx: Tx, userId: string): Promise<string[]> {
  const over = await activeSessionIds(deps.store, tx, userId, { skip: deps.limits.maxSessions, limit: BATCH })
  return endSessions(deps, tx, userId, over, 'too_many')
}

/** Ends one session and tells everybody. Ending it again is no error. */
export async function endSession(
  deps: Deps,
  userId: string,
  sessionId: string,
  reason: Reason,
  call: CallContext
): Promise<void> {
  await transaction(deps.store, call, (tx) => endSessions(deps, tx, userId, [sessionId], reason))
  // Also when it had ended before: who asks again may not have been heard the first time.
  await deps.tellRevoked([sessionId])
}
