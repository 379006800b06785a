import { SessionRevoked } from '@skerry/contracts'
import { definePeriodicJob, type JobHandler, onIdempotentJob, publish } from '@skerry/events'
import { type Store, transaction } from '@skerry/store'
import { deleteExpired, findExpired } from '../data/sessions.ts'

export const ExpireSessions = definePeriodicJob({
  service: 'auth',
  name: 'sessions',
  summary: 'Sessions that were not refreshed in time end.',
  everyMs: 60_000
})

/** Sessions that one transaction removes. */
const BATCH = 100

/** The job that removes expired sessions and tells of those that had not ended before. */
export function expireSessionsJob(deps: { store: Store; now(): number }): JobHandler {
  return onIdempotentJob(ExpireSessions, async () => {
    while ((await expireSome(deps)) === BATCH);
  })
}

async function expireSome({ store, now }: { store: Store; now(): number }): Promise<number> {
  const at = new Date(now())
  const found = await findExpired(store, at, BATCH)
  if (found.length === 0) return 0
  await transaction(store, {}, async (tx) => {
    for (const session of found) {
      if (!(await deleteExpired(store, tx, session, at))) continue
      const { _id: sessionId, userId, revokedAt } = session
      if (revokedAt === undefined) publish(store, tx, SessionRevoked, { sessionId, userId, reason: 'expired' })
    }
  })
  return found.length
}
