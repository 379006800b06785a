import { type Comment, CommentCreated, CommentDeleted, type PageOf, SkerryError } from '@skerry/contracts'
import { publish } from '@skerry/events'
import { bucketOf, type CallContext, decodeCursor, newId, toPage, transaction } from '@skerry/store'
import {
  buryComment,
  type CommentDocument,
  findCommentOrTombstone,
  findCommentsOf,
  insertComment
} from '../data/comments.ts'
import { countOnPost, findPostOrTombstone } from '../data/posts.ts'
import { introduce } from './create-post.ts'
import type { Deps } from './deps.ts'
import type { Person } from './person.ts'
import { bytesOf, presentComment } from './present.ts'
import { commentText } from './words.ts'

/** Comments on a post. Throws CNT_POST_NOT_FOUND. */
export async function createComment(
  deps: Deps,
  caller: Person,
  input: { postId: string; text: string },
  call: CallContext
): Promise<Comment> {
  const { store } = deps
  const { postId } = input
  const text = commentText(input.text)
  const bucket = bucketOf(postId)
  const now = new Date()
  const comment: CommentDocument = {
    _id: newId(bucket, now.getTime()),
    bucket,
    postId,
    authorId: caller.userId,
    text,
    createdAt: now,
    live: true
  }
  const result = presentComment(comment, await introduce(deps, caller))
  return deps.turns(postId, () =>
    transaction(store, call, async (tx) => {
      await insertComment(store, tx, comment)
      const postAuthorId = await countOnPost(store, tx, { _id: postId, bucket }, 'comments', 1)
      if (postAuthorId === undefined) throw new SkerryError('CNT_POST_NOT_FOUND')
      publish(store, tx, CommentCreated, {
        commentId: comment._id,
        postId,
        postAuthorId,
        authorId: caller.userId,
        text,
        createdAt: result.createdAt
      })
      return result
    })
  )
}

export type CommentsQuery = { postId: string; limit?: number | undefined; cursor?: string | undefined }

/** A post's comments, newest first. Throws CNT_POST_NOT_FOUND. */
export async function listComments(deps: Deps, caller: Person, query: CommentsQuery): Promise<PageOf<Comment>> {
  const { postId, limit = 20 } = query
  const list = `comments:${postId}`
  const before = decodeCursor(list, query.cursor, ['string'])?.[0] as string | undefined
  const bucket = bucketOf(postId)
  const [post, found] = await Promise.all([
    deps.reads.posts.one(postId),
    findCommentsOf(deps.store, { postId, bucket }, { before, limit: limit + 1 })
  ])
  if (post === undefined) throw new SkerryError('CNT_POST_NOT_FOUND')
  const authorOf = await deps.authors.get(
    found.slice(0, limit).map((comment) => comment.authorId),
    caller
  )
  return toPage(
    list,
    found,
    limit,
    (comment) => [comment._id],
    (comment) => presentComment(comment, authorOf(comment.authorId)),
    bytesOf
  )
}

/**
 * Deletes one's own comment, or any comment on one's own post. What is gone already, also with its post, may be deleted again by those who
 * could have: whoever repeats it may not have had the first answer. Throws CNT_COMMENT_NOT_FOUND or FORBIDDEN.
 */
export async function deleteComment(deps: Deps, caller: Person, id: string, call: CallContext): Promise<void> {
  const { store } = deps
  const bucket = bucketOf(id)
  const comment = await findCommentOrTombstone(store, id, bucket)
  const post = comment === undefined ? undefined : await findPostOrTombstone(store, comment.postId, bucket)
  if (comment === undefined || post === undefined) throw new SkerryError('CNT_COMMENT_NOT_FOUND')
  const live = comment.live === true && post.live === true
  if (comment.authorId !== caller.userId && post.authorId !== caller.userId)
    throw new SkerryError(live ? 'FORBIDDEN' : 'CNT_COMMENT_NOT_FOUND')
  if (!live) return
  const { postId, authorId } = comment
  await deps.turns(postId, () =>
    transaction(store, call, async (tx) => {
      if (!(await buryComment(store, tx, comment, new Date()))) return
      const postAuthorId = await countOnPost(store, tx, post, 'comments', -1)
      // The post has gone meanwhile, and its event takes all comments along.
      if (postAuthorId === undefined) return
      publish(store, tx, CommentDeleted, { commentId: id, postId, postAuthorId, authorId })
    })
  )
}
