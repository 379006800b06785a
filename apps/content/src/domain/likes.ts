import { LikeCreated, LikeDeleted, SkerryError } from '@skerry/contracts'
import { publish } from '@skerry/events'
import { bucketOf, type CallContext, isDuplicate, transaction } from '@skerry/store'
import { deleteLike, insertLike } from '../data/likes.ts'
import { countOnPost } from '../data/posts.ts'
import type { Deps } from './deps.ts'
import type { Person } from './person.ts'

/** Likes a post; liking twice is liking once. Throws CNT_POST_NOT_FOUND. */
export async function likePost(deps: Deps, caller: Person, postId: string, call: CallContext): Promise<void> {
  if (await likes(deps, caller, postId)) return
  try {
    await change(deps, caller, postId, call, true)
  } catch (error) {
    // The same like came in by another way at the same moment.
    if (!isDuplicate(error, 'likes')) throw error
  }
}

/** Takes a like back. Throws CNT_POST_NOT_FOUND. */
export async function unlikePost(deps: Deps, caller: Person, postId: string, call: CallContext): Promise<void> {
  if (await likes(deps, caller, postId)) await change(deps, caller, postId, call, false)
}

/** Whether they like it now: a repeated request then needs no transaction. */
async function likes(deps: Deps, caller: Person, postId: string): Promise<boolean> {
  const [post, likes] = await Promise.all([deps.reads.posts.one(postId), deps.reads.liked(caller.userId, [postId])])
  if (post === undefined) throw new SkerryError('CNT_POST_NOT_FOUND')
  return likes(postId)
}

async function change(deps: Deps, caller: Person, postId: string, call: CallContext, on: boolean): Promise<void> {
  const { store } = deps
  const { userId } = caller
  const liker = { userId, bucket: bucketOf(userId) }
  const post = { _id: postId, bucket: bucketOf(postId) }
  await deps.turns(postId, () =>
    transaction(store, call, async (tx) => {
      const changed = on
        ? await insertLike(store, tx, liker, postId, new Date())
        : await deleteLike(store, tx, liker, postId)
      if (!changed) return
      // The post last: it is what others wait for.
      const postAuthorId = await countOnPost(store, tx, post, 'likes', on ? 1 : -1)
      if (postAuthorId === undefined) throw new SkerryError('CNT_POST_NOT_FOUND')
      publish(store, tx, on ? LikeCreated : LikeDeleted, { postId, postAuthorId, userId })
    })
  )
}
