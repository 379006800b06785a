import type { Store } from '@skerry/store'
import { followersOfAll, pageOfFollowers } from '../data/followers.ts'
import { activeAmong } from '../data/subscribers.ts'
import type { LiveMessage, Telling } from './telling.ts'

/** The part of the live log that a fan-out writes to. */
export type LogWriter = {
  appendSurely(userId: string, message: LiveMessage): Promise<void>
}

export type FanOutDeps = { store: Store; log: LogWriter; messageBytes: number; delivered(count: number): void }

/** Users looked at together. */
const PAGE = 500
/** Clocks may differ by this much: who stops being written to has long been told that their stretch of activity is over. */
export const CLOCK_SKEW_MS = 5 * 60_000

/**
 * Appends events to the logs of everybody who gets them and is active, those of one order key in the order they are given. Resolves when all of it is
 * on disk, so that the events may count as applied; repeated, it appends under the same ids.
 */
export async function fanOut(deps: FanOutDeps, tellings: readonly Telling[], now: number): Promise<void> {
  const activeAfter = new Date(now - CLOCK_SKEW_MS)
  const audiences = await audiencesOf(deps, tellings)
  if (audiences !== undefined) return deliver(deps, audiences, activeAfter)
  // Some of them are told to very many: each by itself, page by page.
  const keys = Map.groupBy(tellings, ({ orderKey }) => orderKey)
  await settled([...keys.values()].map((ofKey) => inPages(deps, ofKey, activeAfter)))
}

type Addressed = { telling: Telling; userIds: readonly string[] }

/** Who gets each event: the followers of all authors by one query. Undefined where they are too many to be looked at together. */
async function audiencesOf({ store }: FanOutDeps, tellings: readonly Telling[]): Promise<Addressed[] | undefined> {
  const authors = new Set(tellings.flatMap(({ audience }) => ('users' in audience ? [] : [audience.followersOf])))
  const followers = await followersOfAll(store, [...authors], PAGE)
  if (followers === undefined) return undefined
  return tellings.map((telling) => {
    const { audience } = telling
    // An author's own devices are told as well.
    if ('users' in audience) return { telling, userIds: audience.users }
    return { telling, userIds: [audience.followersOf, ...followers.get(audience.followersOf)!] }
  })
}

async function inPages(deps: FanOutDeps, tellings: readonly Telling[], activeAfter: Date): Promise<void> {
  for (const telling of tellings) {
    const { audience } = telling
    if ('users' in audience) {
      await deliver(deps, [{ telling, userIds: audience.users }], activeAfter)
      continue
    }
    const author = audience.followersOf
    let page: string[]
    let after: string | undefined
    do {
      page = await pageOfFollowers(deps.store, author, after, PAGE)
      // The author comes with the first page: one look at who is active for both.
      await deliver(deps, [{ telling, userIds: after === undefined ? [author, ...page] : page }], activeAfter)
      after = page.at(-1)
    } while (page.length === PAGE)
  }
}

/** Appends to the logs of those who are active; for each of them, what has one order key one after the other. */
async function deliver(deps: FanOutDeps, addressed: readonly Addressed[], activeAfter: Date): Promise<void> {
  const everybody = [...new Set(addressed.flatMap(({ userIds }) => userIds))]
  const active = new Set(await activeAmong(deps.store, everybody, activeAfter))
  const queues = new Map<string, { userId: string; messages: LiveMessage[] }>()
  for (const { telling, userIds } of addressed) {
    for (const userId of new Set(userIds)) {
      if (!active.has(userId)) continue
      const name = `${userId} ${telling.orderKey}`
      const queue = queues.get(name) ?? { userId, messages: [] }
      queue.messages.push(telling.message)
      queues.set(name, queue)
    }
  }
  await settled(
    [...queues.values()].map(async ({ userId, messages }) => {
      for (const message of messages) {
        await deps.log.appendSurely(userId, message)
        deps.delivered(1)
      }
    })
  )
}

/** Waits for all, also where one fails: what is tried again must not run beside its first attempt. */
async function settled(all: readonly Promise<void>[]): Promise<void> {
  for (const outcome of await Promise.allSettled(all)) if (outcome.status === 'rejected') throw outcome.reason
}
