import type { PageOf, Post } from '@skerry/contracts'
import { bucketOf, countFitting, decodeCursor, encodeCursor } from '@skerry/store'
import { findEntries } from '../data/feeds.ts'
import { findMerged } from '../data/follows.ts'
import { findNewestRefs, type PostDocument, type PostRef } from '../data/posts.ts'
import type { Deps } from './deps.ts'
import type { Person } from './person.ts'
import { bytesOf, presentPosts } from './present.ts'

/** What is gone or unfollowed leaves holes in a page, which are filled by reading on; so often at most. */
const MAX_READS = 8

export type FeedQuery = { limit?: number | undefined; cursor?: string | undefined }

/** Posts of the caller and of those they follow, newest first. */
export async function readFeed(deps: Deps, caller: Person, query: FeedQuery): Promise<PageOf<Post>> {
  const { limit = 20 } = query
  let before = decodeCursor('feed', query.cursor, ['string'])?.[0] as string | undefined
  const posts: PostDocument[] = []
  let more = true
  for (let reads = 0; more && posts.length < limit && reads < MAX_READS; reads++) {
    const need = limit - posts.length
    const refs = await findCandidates(deps, caller, before, need + 1)
    more = refs.length > need
    const candidates = refs.slice(0, need)
    before = candidates.at(-1)?.postId ?? before
    posts.push(...(await keepVisible(deps, caller, candidates)))
    const fitting = countFitting(posts, bytesOf)
    if (fitting === posts.length) continue
    posts.length = fitting
    before = posts[fitting - 1]?._id
    more = true
    break
  }
  return {
    items: await presentPosts(deps, posts, caller),
    nextCursor: more && before !== undefined ? encodeCursor('feed', [before]) : null
  }
}

/** The newest of what was written into the feed and of what is merged into it, as references. */
async function findCandidates(
  deps: Deps,
  caller: Person,
  before: string | undefined,
  limit: number
): Promise<PostRef[]> {
  const { store } = deps
  const [entries, merged] = await Promise.all([
    findEntries(store, caller.userId, { before, limit }),
    findMergedRefs(deps, caller, before, limit)
  ])
  if (merged.length === 0) return entries
  const byId = new Map([...entries, ...merged].map((ref) => [ref.postId, ref]))
  return [...byId.values()].sort((a, b) => (a.postId < b.postId ? 1 : -1)).slice(0, limit)
}

/** Authors merged in one query; the database merges their index ranges. */
const MERGE_CHUNK = 100

async function findMergedRefs(
  deps: Deps,
  caller: Person,
  before: string | undefined,
  limit: number
): Promise<PostRef[]> {
  if (!(await deps.anyMerged())) return []
  const authors = (await findMerged(deps.store, caller.userId)).map((authorId) => ({
    authorId,
    bucket: bucketOf(authorId)
  }))
  const reads: Promise<PostRef[]>[] = []
  for (let i = 0; i < authors.length; i += MERGE_CHUNK) {
    reads.push(findNewestRefs(deps.store, authors.slice(i, i + MERGE_CHUNK), { before, limit }))
  }
  return (await Promise.all(reads)).flat()
}

/** Leaves out posts that are gone and posts of authors who are no longer followed. */
async function keepVisible(deps: Deps, caller: Person, refs: readonly PostRef[]): Promise<PostDocument[]> {
  const [byId, follows] = await Promise.all([
    deps.reads.posts.many(refs.map((ref) => ref.postId)),
    deps.reads.followed(
      caller.userId,
      refs.map((ref) => ref.authorId)
    )
  ])
  const visible: PostDocument[] = []
  for (const { postId, authorId } of refs) {
    const post = byId.get(postId)
    if (post !== undefined && follows(authorId)) visible.push(post)
  }
  return visible
}
