import type { Comment, ConduitComment } from '@skerry/contracts'
import { isBlank } from '@skerry/text'
import type { Visit } from '../api.ts'
import { findComment, findComments } from '../data/comments.ts'
import { numberOf } from '../data/numbers.ts'
import { invalid, notFound, notYours } from '../errors.ts'
import { resultOf } from './api-errors.ts'
import { requireArticle } from './articles.ts'
import type { Deps } from './deps.ts'
import { apply, applyComment, applyCommentDeleted } from './model.ts'
import { presentComments, type Viewer } from './present.ts'
import { callAs, type Session } from './session.ts'

export async function addComment(
  deps: Deps,
  session: Session,
  { slug, body }: { slug: string; body: string },
  visit: Visit
): Promise<{ comment: ConduitComment }> {
  if (isBlank(body)) throw invalid('body', "can't be blank")
  const { store } = deps
  const { _id: postId } = await requireArticle(deps, slug)
  const request = { method: 'POST', path: `/v1/posts/${postId}/comments`, body: { text: body } } as const
  const { id, author, text, createdAt } = resultOf(await callAs<Comment>(deps, session, request, visit), 'article')
  const number = await numberOf(store, id)
  const comment = { commentId: id, postId, authorId: author.id, text, createdAt }
  await apply(store, visit.call, (tx) => applyComment(store, tx, comment, number))
  const made = { number, authorId: author.id, body: text, createdAt: new Date(createdAt) }
  return { comment: (await presentComments(deps, session, [made]))[0]! }
}

/** The comments of an article, newest first. */
export async function listComments(deps: Deps, viewer: Viewer, slug: string): Promise<{ comments: ConduitComment[] }> {
  const { _id: postId } = await requireArticle(deps, slug)
  const found = await findComments(deps.store, postId, deps.limits.COMMENTS_LISTED)
  return { comments: await presentComments(deps, viewer, found) }
}

/** Deletes one's own comment. Throws 404, and 403 when it is not theirs: RealWorld's authors don't delete what others say. */
export async function deleteComment(
  deps: Deps,
  session: Session,
  { slug, number }: { slug: string; number: number },
  visit: Visit
): Promise<void> {
  const { store } = deps
  const { _id: postId } = await requireArticle(deps, slug)
  const comment = await findComment(store, postId, number)
  if (comment === undefined) throw notFound('comment')
  if (comment.authorId !== session.userId) throw notYours('comment')
  const { _id: commentId } = comment
  resultOf(await callAs(deps, session, { method: 'DELETE', path: `/v1/comments/${commentId}` }, visit), 'comment')
  await apply(store, visit.call, (tx) => applyCommentDeleted(store, tx, { commentId, postId }))
}
