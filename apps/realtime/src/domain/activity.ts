import type { Store } from '@skerry/store'
import { beginActivity, extendActivity, findSubscriber, markActivity } from '../data/subscribers.ts'

export type ActivityDeps = {
  store: Store
  log: { append(userId: string, message: { id: string; type: string; body: string }): Promise<void> }
  activeMs: number
}

/** Renewed when less than `activeMs` is left of this much more, so that a stream writes once in a while and a reconnect only reads. */
const SLACK = 1 / 24

/** Times in milliseconds: until when the user is written to, and when to renew that. */
export type Activity = { until: number; renewAt: number }

/**
 * Makes a user one who is written to, before a stream of theirs reads. After a time without (or for the first time) the log gets a `resync`
 * message, behind everything that was not written to it: each device that resumes from before then comes upon it. A stretch whose message
 * is not known to be in the log gets it from whoever comes next, under the same id.
 */
export async function keepActive(deps: ActivityDeps, userId: string, now: number): Promise<Activity> {
  const { store, log, activeMs } = deps
  const until = now + activeMs * (1 + SLACK)
  let stretch = await findSubscriber(store, userId)
  if (stretch === null || stretch.activeUntil.getTime() <= now) {
    stretch = await beginActivity(store, userId, new Date(now), new Date(until))
  } else if (stretch.activeUntil.getTime() < now + activeMs) {
    await extendActivity(store, userId, new Date(until))
    stretch = { ...stretch, activeUntil: new Date(until) }
  }
  if (!stretch.marked) {
    await log.append(userId, { id: `resync-${stretch.since}`, type: 'resync', body: '{"reason":"inactive"}' })
    await markActivity(store, userId, stretch.since)
  }
  const holds = stretch.activeUntil.getTime()
  return { until: holds, renewAt: Math.max(now, holds - activeMs) }
}
