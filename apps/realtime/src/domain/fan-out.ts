import type { Store } from '@skerry/store'
import { pageOfFollowers } from '../data/followers.ts'
import { activeAmong } from '../data/subscribers.ts'
import { type LiveRule, liveBody } from './messages.ts'

/** The part of the live log that a fan-out writes to. */
export type LogWriter = {
  appendSurely(userId: string, message: { id: string; type: string; body: string }): Promise<void>
}

export type FanOutDeps = { store: Store; log: LogWriter; messageBytes: number; delivered(count: number): void }

/** Followers looked at together, and messages on their way at once. */
const PAGE = 500
/** Clocks may differ by this much: who stops being written to has long been told that their stretch of activity is over. */
const CLOCK_SKEW_MS = 5 * 60_000

/**
 * Appends an event to the log of everybody who gets it and is active. Resolves when all of it is on disk, so that the event may count as
 * applied; repeated, it appends under the same ids.
 */
export async function fanOut(
  deps: FanOutDeps,
  input: { rule: LiveRule; eventId: string; data: never; now: number }
): Promise<void> {
  const { rule, eventId } = input
  const audience = rule.audience(input.data)
  const message = { id: eventId, type: rule.type, body: liveBody(eventId, input.data, deps.messageBytes) }
  const activeAfter = new Date(input.now - CLOCK_SKEW_MS)

  const deliver = async (userIds: readonly string[]) => {
    const active = await activeAmong(deps.store, userIds, activeAfter)
    await Promise.all(active.map((userId) => deps.log.appendSurely(userId, message)))
    deps.delivered(active.length)
  }

  if ('users' in audience) return deliver(audience.users)
  const author = audience.followersOf
  for (let after: string | undefined; ; ) {
    const page = await pageOfFollowers(deps.store, author, after, PAGE)
    // The author's own devices come with the first page: one look at who is active for both.
    await deliver(after === undefined ? [author, ...page] : page)
    after = page.at(-1)
    if (page.length < PAGE) return
  }
}
