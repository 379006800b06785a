import { type Batch, createBatch, type Store } from '@skerry/store'
import { findFollowed } from '../data/follows.ts'
import { findLiked } from '../data/likes.ts'
import { findPosts, type PostDocument } from '../data/posts.ts'
import { createShortMemory } from './short-memory.ts'

/** The reads that nearly every request makes, gathered between requests. */
export type Reads = {
  /** Posts that are not gone, by id. */
  posts: Batch<PostDocument>
  /** Which of these posts somebody likes. */
  liked(userId: string, postIds: readonly string[]): Promise<(postId: string) => boolean>
  /** Which of these authors somebody follows, themselves among them. A follow that has ended may be seen up to `followTtlMs` longer. */
  followed(userId: string, authorIds: Iterable<string>): Promise<(authorId: string) => boolean>
}

const QUERY_MAX = 500

export function createReads(store: Store, options: { followTtlMs: number; max: number }): Reads {
  const followMemory = createShortMemory<true>(options.followTtlMs, options.max)
  const follows = createBatch<true>(async (pairs) => {
    const remember = followMemory.begin()
    const found = await findFollowed(store, pairs)
    for (const pair of found.keys()) remember(pair, true)
    return found
  }, QUERY_MAX)
  const likes = createBatch<true>((pairs) => findLiked(store, pairs), QUERY_MAX)

  return {
    posts: createBatch((ids) => findPosts(store, ids), QUERY_MAX),
    async liked(userId, postIds) {
      const found = await likes.many(postIds.map((postId) => `${userId}:${postId}`))
      return (postId) => found.has(`${userId}:${postId}`)
    },
    async followed(userId, authorIds) {
      const known = new Set([userId])
      const missing: string[] = []
      for (const authorId of new Set(authorIds)) {
        const pair = `${userId}:${authorId}`
        if (authorId === userId) continue
        if (followMemory.get(pair)) known.add(authorId)
        else missing.push(pair)
      }
      const found = await follows.many(missing)
      return (authorId) => known.has(authorId) || found.has(`${userId}:${authorId}`)
    }
  }
}
