import { bucketOf } from '@skerry/store'
import { findBigState } from '../data/big-authors.ts'
import { deleteEntriesOf, insertEntries, trimFeed } from '../data/feeds.ts'
import { deleteFollow, type Follow, findFollowed, markMerged, saveFollow } from '../data/follows.ts'
import { findNewestRefs } from '../data/posts.ts'
import type { Deps } from './deps.ts'

/** A follow that ends and begins again while its feed is filled is looked at again; more often than this nobody can. */
const MOST_CHANGES = 100

/**
 * Records a follow and brings the author's newest posts into the follower's feed. The follow is kept before the posts are read: a post
 * that comes in meanwhile either finds the follower or is among those read. May run again at any point.
 */
export async function follow(deps: Deps, pair: Follow): Promise<void> {
  const { store, feeds } = deps
  const { followerId, followedId } = pair
  await saveFollow(store, pair)
  const state = await findBigState(store, followedId)
  if (state === 'marking' || state === 'big') {
    await markMerged(store, followedId, [followerId])
    return
  }
  const author = { authorId: followedId, bucket: bucketOf(followedId) }
  const isFollowed = async () => (await findFollowed(store, [`${followerId}:${followedId}`])).size > 0
  for (let changes = 0; changes < MOST_CHANGES; changes++) {
    const newest = await findNewestRefs(store, [author], { before: undefined, limit: feeds.FEED_BACKFILL })
    if (newest.length === 0) return
    await insertEntries(
      store,
      newest.map((post) => ({ ownerId: followerId, post }))
    )
    await trimFeed(store, followerId, feeds.FEED_KEEP)
    // An instance that was paused here may be late: the follow that its successor has ended must leave nothing.
    if (await isFollowed()) return
    await deleteEntriesOf(store, followerId, followedId)
    // And a follow that has begun again since must lose nothing.
    if (!(await isFollowed())) return
  }
  throw new Error(`${followerId} follows and unfollows ${followedId} faster than their feed can be filled`)
}

/** Ends a follow, and then takes the author's posts out of the feed: a fan-out under way sees the end, or is swept up here. */
export async function unfollow(deps: Deps, pair: Follow): Promise<void> {
  deps.knownFollowers.forget(pair.followedId)
  await deleteFollow(deps.store, pair)
  await deleteEntriesOf(deps.store, pair.followerId, pair.followedId)
}
