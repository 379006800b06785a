import { findBigState, saveBigState } from '../data/big-authors.ts'
import { deleteEntries, insertEntries, trimFeed } from '../data/feeds.ts'
import { countFollowers, findFollowers, findStillFollowing, markMerged } from '../data/follows.ts'
import type { PostRef } from '../data/posts.ts'
import type { Deps } from './deps.ts'

/**
 * Writes a post into the feeds of its author's followers, or, when those are more than FANOUT_MAX, sees to it that they merge the author's
 * posts when they read. May run again at any point: all it does is the same when repeated. Why nothing is lost or left over when somebody
 * follows or unfollows meanwhile: docs/content.md, "Feeds".
 */
export async function fanOut(deps: Deps, post: PostRef): Promise<void> {
  const { store } = deps
  const { authorId } = post
  const first = await findFollowers(store, authorId, { after: undefined, limit: deps.feeds.FANOUT_CHUNK })
  if (await isBig(deps, authorId, first)) return
  await trimSome(deps, [authorId])
  for await (const chunk of followersOf(deps, authorId, first)) {
    await writeEntries(deps, post, chunk)
    await trimSome(deps, chunk)
  }
}

/** Who comes and goes while a post is written into feeds is looked at again; more often than this nobody can. */
const MOST_CHANGES = 100

/**
 * Writes a post into the feeds of followers. Who unfollowed before the entry was written would keep it, so the followers are read once more;
 * and who follows again before it is taken away would lose it, so those are read again, until nobody has come or gone.
 */
async function writeEntries({ store }: Deps, post: PostRef, followers: readonly string[]): Promise<void> {
  const { authorId, postId } = post
  let written = followers
  for (let changes = 0; changes < MOST_CHANGES; changes++) {
    await insertEntries(
      store,
      written.map((ownerId) => ({ ownerId, post }))
    )
    const gone = without(written, await findStillFollowing(store, authorId, written))
    if (gone.length === 0) return
    await deleteEntries(store, gone, postId)
    const back = await findStillFollowing(store, authorId, gone)
    if (back.size === 0) return
    written = [...back]
  }
  throw new Error(`followers of ${authorId} come and go faster than a post can be written into their feeds`)
}

function without(all: readonly string[], some: ReadonlySet<string>): string[] {
  return all.filter((one) => !some.has(one))
}

/** Whether the author's posts are merged when they are read; sees to what a crossing of the bound needs. */
async function isBig(deps: Deps, authorId: string, first: readonly string[]): Promise<boolean> {
  const { store, feeds } = deps
  const all = first.length < feeds.FANOUT_CHUNK
  const count = all ? first.length : await countFollowers(store, authorId, feeds.FANOUT_MAX + 1)
  const big = count > feeds.FANOUT_MAX
  if (!big && !(await deps.anyMerged())) return false
  const state = await findBigState(store, authorId)
  if (big && state !== 'big') await makeBig(deps, authorId)
  if (!big && (state === 'big' || state === 'marking')) await saveBigState(store, authorId, 'was')
  return big
}

/**
 * Follows are marked before the author counts as big, since from then on posts are not written into feeds; and again after it, for those
 * that came in between. Who follows later sees that the author is big.
 */
async function makeBig(deps: Deps, authorId: string): Promise<void> {
  for await (const chunk of followersOf(deps, authorId)) await markMerged(deps.store, authorId, chunk)
  await saveBigState(deps.store, authorId, 'marking')
  for await (const chunk of followersOf(deps, authorId)) await markMerged(deps.store, authorId, chunk)
  await saveBigState(deps.store, authorId, 'big')
}

/** Chunks of followers, beginning with one that has been read. */
async function* followersOf({ store, feeds }: Deps, authorId: string, first?: string[]): AsyncGenerator<string[]> {
  const limit = feeds.FANOUT_CHUNK
  let chunk = first ?? (await findFollowers(store, authorId, { after: undefined, limit }))
  for (;;) {
    if (chunk.length > 0) yield chunk
    if (chunk.length < limit) return
    chunk = await findFollowers(store, authorId, { after: chunk.at(-1), limit })
  }
}

/** Cuts some of these feeds back, so that each is cut once for a sixteenth of its length in new entries, on average. */
async function trimSome({ store, feeds }: Deps, ownerIds: readonly string[]): Promise<void> {
  const chance = 16 / feeds.FEED_KEEP
  const chosen = ownerIds.filter(() => Math.random() < chance)
  await Promise.all(chosen.map((ownerId) => trimFeed(store, ownerId, feeds.FEED_KEEP)))
}
