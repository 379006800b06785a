import { findBigAmong, findBigState, saveBigState } from '../data/big-authors.ts'
import { deleteEntries, type Entry, insertEntries, trimFeed } from '../data/feeds.ts'
import { countFollowers, findFollowers, findFollowersOf, findStillFollowing, markMerged } from '../data/follows.ts'
import type { PostRef } from '../data/posts.ts'
import type { Deps } from './deps.ts'

/**
 * Writes posts into the feeds of their authors' followers, or, where those are more than FANOUT_MAX, sees to it that they merge an author's
 * posts when they read. May run again at any point: all it does is the same when repeated. Why nothing is lost or left over when somebody
 * follows or unfollows meanwhile: docs/content.md, "Feeds".
 */
export async function fanOut(deps: Deps, posts: readonly PostRef[]): Promise<void> {
  const large: Work[] = []
  const together: Work[] = []
  for (const [authorId, theirs] of Map.groupBy(posts, (post) => post.authorId)) {
    const known = deps.knownFollowers.of(authorId)
    if (known === 'many') large.push({ authorId, posts: theirs, written: new Set() })
    else together.push({ authorId, posts: theirs, known, written: new Set() })
  }
  await trimSome(
    deps,
    posts.map((post) => post.authorId)
  )
  large.push(...(await writeTogether(deps, together)))
  // What one of the workers has taken the others pass over.
  const works = large.values()
  const worker = async () => {
    for (const work of works) await writeInChunks(deps, work)
  }
  await Promise.all(Array.from({ length: LARGE_AT_ONCE }, worker))
}

/** The posts of an author that are to be written. `written`: into whose feeds they have been, as far as that is known. */
type Work = { authorId: string; posts: readonly PostRef[]; known?: readonly string[] | undefined; written: Set<string> }

/** Who comes and goes while posts are written into feeds is looked at again; more often than this nobody can. */
const MOST_CHANGES = 100
/** Authors with many followers whose posts are written at once: with a few batches beside each other, fewer than there are connections. */
const LARGE_AT_ONCE = 4
/** Followers of several authors that are read by one query. */
const FOLLOWERS_MAX = 10_000

/**
 * Writes the posts of authors with few followers: into the feeds of those who followed last time, then of those who have come since, until a
 * look at who follows finds nobody who has come or gone. Who has gone had the entry taken away; so who has been written to followed
 * after it was written, and whoever unfollows later takes it away. Resolves with what is to be written in chunks.
 */
async function writeTogether(deps: Deps, all: readonly Work[]): Promise<readonly Work[]> {
  const { store, feeds } = deps
  const left: Work[] = []
  let open = all
  let missing = new Map(all.map(({ authorId, known = [] }) => [authorId, known]))
  for (let changes = 0; open.length > 0; changes++) {
    if (changes === MOST_CHANGES) throw new Error('followers come and go faster than posts can be written into feeds')
    await insertEntries(
      store,
      open.flatMap(({ authorId, posts }) => entriesFor(missing.get(authorId)!, posts))
    )
    for (const { authorId, written } of open) for (const ownerId of missing.get(authorId)!) written.add(ownerId)
    const limit = Math.min(FOLLOWERS_MAX, open.length * feeds.FANOUT_CHUNK)
    const ids = open.map(({ authorId }) => authorId)
    const now = await findFollowersOf(store, ids, limit)
    if (now === undefined) return [...left, ...open]
    if (changes === 0) await resettle(deps, open, now)
    const gone: Entry[] = []
    const next: Work[] = []
    missing = new Map()
    for (const work of open) {
      const { authorId, posts, written } = work
      const followers = now.get(authorId)!
      if (followers.length > Math.min(feeds.FANOUT_CHUNK, feeds.FANOUT_MAX)) {
        left.push(work)
        continue
      }
      const goners = without([...written], new Set(followers))
      const comers = without(followers, written)
      gone.push(...entriesFor(goners, posts))
      for (const ownerId of goners) written.delete(ownerId)
      if (goners.length + comers.length === 0) {
        deps.knownFollowers.keep(authorId, followers)
        await trimSome(
          deps,
          posts.flatMap(() => followers)
        )
      } else {
        missing.set(authorId, comers)
        next.push(work)
      }
    }
    await deleteEntries(store, gone)
    open = next
  }
  return left
}

/** Authors who were big, as far as is known, and are not any more. */
async function resettle({ store, anyMerged, feeds }: Deps, works: readonly Work[], now: Map<string, string[]>) {
  const unknown = works.filter(
    ({ authorId, known }) => known === undefined && now.get(authorId)!.length <= feeds.FANOUT_MAX
  )
  if (unknown.length === 0 || !(await anyMerged())) return
  const big = await findBigAmong(
    store,
    unknown.map(({ authorId }) => authorId)
  )
  for (const authorId of big) await saveBigState(store, authorId, 'was')
}

/** Writes the posts of one author, chunk by chunk of their followers. */
async function writeInChunks(deps: Deps, { authorId, posts, written }: Work): Promise<void> {
  const { store, feeds } = deps
  const first = await findFollowers(store, authorId, { after: undefined, limit: feeds.FANOUT_CHUNK })
  deps.knownFollowers.keep(authorId, first.length < feeds.FANOUT_CHUNK ? first : 'many')
  if (await isBig(deps, authorId, first)) {
    deps.knownFollowers.keep(authorId, 'many')
    await deleteEntries(store, entriesFor([...written], posts))
    return
  }
  // Who has gone since is in no chunk.
  if (written.size > 0) await writeEntries(deps, posts, [...written])
  for await (const chunk of followersOf(deps, authorId, first)) {
    await writeEntries(deps, posts, chunk)
    await trimSome(
      deps,
      posts.flatMap(() => chunk)
    )
  }
}

/**
 * Writes posts of an author into the feeds of followers. Who unfollowed before the entry was written would keep it, so the followers are read once
 * more; and who follows again before it is taken away would lose it, so those are read again, until nobody has come or gone.
 */
async function writeEntries({ store }: Deps, posts: readonly PostRef[], followers: readonly string[]): Promise<void> {
  const { authorId } = posts[0]!
  let written = followers
  for (let changes = 0; changes < MOST_CHANGES; changes++) {
    await insertEntries(store, entriesFor(written, posts))
    const gone = without(written, await findStillFollowing(store, authorId, written))
    if (gone.length === 0) return
    await deleteEntries(store, entriesFor(gone, posts))
    const back = await findStillFollowing(store, authorId, gone)
    if (back.size === 0) return
    written = [...back]
  }
  throw new Error(`followers of ${authorId} come and go faster than a post can be written into their feeds`)
}

function entriesFor(ownerIds: readonly string[], posts: readonly PostRef[]): Entry[] {
  return ownerIds.flatMap((ownerId) => posts.map((post) => ({ ownerId, post })))
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

/** Cuts some of these feeds back, so that each is cut once for a quarter of its length in new entries, on average: a cut reads all that stays. */
async function trimSome({ store, feeds }: Deps, ownerIds: readonly string[]): Promise<void> {
  const chance = 4 / feeds.FEED_KEEP
  const chosen = ownerIds.filter(() => Math.random() < chance)
  await Promise.all(chosen.map((ownerId) => trimFeed(store, ownerId, feeds.FEED_KEEP)))
}
