import {
  CommentCreated,
  CommentDeleted,
  ContentExportPart,
  LikeDeleted,
  PostCreated,
  PostUpdated
} from '@skerry/contracts'
import { type Counts, eraseEvents, publish } from '@skerry/events'
import { bucketOf, eraseAnswers, transaction } from '@skerry/store'
import { forgetAuthor } from '../data/authors.ts'
import { deleteBigState } from '../data/big-authors.ts'
import { buryComment, type CommentDocument, findCommentsBy } from '../data/comments.ts'
import { deleteFeed } from '../data/feeds.ts'
import { deleteFollow, findFollowedBy, findFollowers } from '../data/follows.ts'
import { deleteLike, findLikesOf } from '../data/likes.ts'
import { countOnPost, findPostsOf } from '../data/posts.ts'
import type { Deps } from './deps.ts'
import { deletePost } from './edit-post.ts'
import { unfollow } from './follow.ts'

const PAGE = 100

/**
 * Erases all of somebody, each thing in a transaction of its own, as its owner would have deleted it: with tombstones, the counts of others,
 * and events. Stopped at any point it goes on where it was.
 */
export async function erasePerson(deps: Deps, userId: string): Promise<Counts> {
  const { store } = deps
  await forgetAuthor(store, userId)
  const counts = {
    posts: await erasePosts(deps, userId),
    comments: await eraseComments(deps, userId),
    likes: await eraseLikes(deps, userId),
    follows: await eraseFollows(deps, userId)
  }
  await deleteFeed(store, userId)
  await deleteBigState(store, userId)
  await eraseAnswers(store, userId)
  await eraseEvents(store, [PostCreated, PostUpdated, CommentCreated, ContentExportPart], [userId])
  return counts
}

async function erasePosts(deps: Deps, userId: string): Promise<number> {
  const owner = { userId, username: '', displayName: '' }
  for (let gone = 0; ; ) {
    const found = await findPostsOf(
      deps.store,
      { authorId: userId, bucket: bucketOf(userId) },
      { before: undefined, limit: PAGE }
    )
    if (found.length === 0) return gone
    for (const { _id: id } of found) {
      // Else it was deleted by a request that was under way.
      if (await deletePost(deps, owner, { id, ifMatch: undefined }, {})) gone++
    }
  }
}

async function eraseComments(deps: Deps, userId: string): Promise<number> {
  for (let gone = 0; ; ) {
    const found = await findCommentsBy(deps.store, userId, { before: undefined, limit: PAGE })
    if (found.length === 0) return gone
    for (const comment of found) {
      await eraseComment(deps, comment)
      gone++
    }
  }
}

async function eraseComment({ store, turns }: Deps, comment: CommentDocument): Promise<void> {
  const { _id: commentId, postId, authorId, bucket } = comment
  await turns(postId, () =>
    transaction(store, {}, async (tx) => {
      if (!(await buryComment(store, tx, comment, new Date()))) return
      const postAuthorId = await countOnPost(store, tx, { _id: postId, bucket }, 'comments', -1)
      // Of a post that is gone nobody counts or shows comments.
      if (postAuthorId !== undefined) publish(store, tx, CommentDeleted, { commentId, postId, postAuthorId, authorId })
    })
  )
}

async function eraseLikes({ store, turns }: Deps, userId: string): Promise<number> {
  const liker = { userId, bucket: bucketOf(userId) }
  for (let gone = 0; ; ) {
    const found = await findLikesOf(store, liker, { after: undefined, limit: PAGE })
    if (found.length === 0) return gone
    for (const { postId } of found) {
      await turns(postId, () =>
        transaction(store, {}, async (tx) => {
          if (!(await deleteLike(store, tx, liker, postId))) return
          const post = { _id: postId, bucket: bucketOf(postId) }
          const postAuthorId = await countOnPost(store, tx, post, 'likes', -1)
          if (postAuthorId !== undefined) publish(store, tx, LikeDeleted, { postId, postAuthorId, userId })
        })
      )
      gone++
    }
  }
}

/** What content has learned of follows of and by them; users tells of their end as well, whenever that comes. */
async function eraseFollows(deps: Deps, userId: string): Promise<number> {
  const { store } = deps
  let gone = 0
  for (;;) {
    const followed = await findFollowedBy(store, userId, PAGE)
    for (const followedId of followed) await deleteFollow(store, { followerId: userId, followedId })
    gone += followed.length
    const followers = await findFollowers(store, userId, { after: undefined, limit: PAGE })
    for (const followerId of followers) await unfollow(deps, { followerId, followedId: userId })
    gone += followers.length
    if (followed.length + followers.length === 0) return gone
  }
}
