import { type CallContext, type Store, type Tx, transaction } from '@skerry/store'
import { countFavorite, findArticle, hideArticle, type PostState, saveArticle } from '../data/articles.ts'
import { buryComment, insertComment } from '../data/comments.ts'
import { despiteOthers } from '../data/common.ts'
import { deleteRelation, type Edge, favorites, findRelation, type Relations, saveRelation } from '../data/relations.ts'
import { releaseSlug, reserveSlug } from '../data/slugs.ts'
import { slugsFor } from './slug.ts'

// How events and the API's answers become the read model. Both call the same functions, in any order and as often as they come
// (docs/conduit.md).

/** A transaction for an answer, whose own event may be applied at the same moment. */
export function apply<T>(store: Store, call: CallContext, work: (tx: Tx) => Promise<T>): Promise<T> {
  return despiteOthers(() => transaction(store, call, work))
}

/** What a post is now. One without title or summary is no article. */
export async function applyPost(store: Store, tx: Tx, post: PostState): Promise<void> {
  const { postId, authorId, title, summary, version } = post
  const known = await findArticle(store, postId, tx)
  if (known?.gone === true || (known?.version ?? 0) >= version) return
  if (title === null || summary === null) {
    if (known?.slug !== undefined) await releaseSlug(store, tx, post, known.slug)
    await hideArticle(store, tx, { postId, authorId, version, gone: false })
    return
  }
  const wanted = slugsFor(title, postId)
  const slug = await reserveSlug(store, tx, post, wanted)
  if (known?.slug !== undefined && known.slug !== slug) await releaseSlug(store, tx, post, known.slug)
  await saveArticle(store, tx, {
    _id: postId,
    authorId,
    slug,
    title,
    description: summary,
    body: post.text,
    tags: post.tags,
    createdAt: new Date(post.createdAt),
    updatedAt: new Date(post.updatedAt),
    version
  })
}

/** A post was deleted: whatever comes of it later changes nothing. */
export async function applyPostDeleted(
  store: Store,
  tx: Tx,
  { postId, authorId }: { postId: string; authorId: string }
): Promise<void> {
  const known = await findArticle(store, postId, tx)
  if (known?.slug !== undefined) await releaseSlug(store, tx, { postId, version: Number.POSITIVE_INFINITY }, known.slug)
  await hideArticle(store, tx, { postId, authorId, version: known?.version ?? 0, gone: true })
}

export type CommentState = { commentId: string; postId: string; authorId: string; text: string; createdAt: string }

/** A comment under its number (`numberOf`), unless it was deleted or its article was. */
export async function applyComment(store: Store, tx: Tx, comment: CommentState, number: number): Promise<void> {
  const { commentId, postId, authorId, text, createdAt } = comment
  if ((await findArticle(store, postId, tx))?.gone === true) return
  await insertComment(store, tx, {
    _id: commentId,
    postId,
    number,
    authorId,
    body: text,
    createdAt: new Date(createdAt)
  })
}

export async function applyCommentDeleted(
  store: Store,
  tx: Tx,
  { commentId, postId }: { commentId: string; postId: string }
): Promise<void> {
  await buryComment(store, tx, { _id: commentId, postId })
}

/** How many events of a relation were news so far: asked before the API is, for `applyRelationAnswer`. */
export async function newsOf(store: Store, kind: Relations, edge: Edge): Promise<number> {
  return (await findRelation(store, kind, edge))?.news ?? 0
}

/** An event of a relation: one that an answer was ahead of, which changes nothing any more, or news. */
export async function applyRelationEvent(
  store: Store,
  kind: Relations,
  tx: Tx,
  edge: Edge,
  on: boolean
): Promise<void> {
  const { was, ahead, news } = await stateOf(store, kind, tx, edge)
  if (ahead > 0) {
    await saveRelation(store, kind, tx, edge, { on: was, ahead: ahead - 1, news })
    return
  }
  await saveRelation(store, kind, tx, edge, { on, ahead, news: news + 1 })
  if (on !== was) await count(store, kind, tx, edge, on)
}

/**
 * The API has answered that a relation holds or not.
 *
 * @param newsBefore of `newsOf` before it was asked: when there has been news since, the answer's own event may be in it, so that is believed
 */
export async function applyRelationAnswer(
  store: Store,
  kind: Relations,
  tx: Tx,
  edge: Edge,
  on: boolean,
  newsBefore: number
): Promise<void> {
  const { was, ahead, news } = await stateOf(store, kind, tx, edge)
  if (was === on || news !== newsBefore) return
  await saveRelation(store, kind, tx, edge, { on, ahead: ahead + 1, news })
  await count(store, kind, tx, edge, on)
}

/**
 * Forgets a relation of somebody whose account has ended, with what it counted. Events of it that are still to come take it on from nothing: the
 * last of them ends it.
 */
export async function forgetRelation(store: Store, kind: Relations, tx: Tx, edge: Edge): Promise<void> {
  const { was } = await stateOf(store, kind, tx, edge)
  await deleteRelation(store, kind, tx, edge)
  if (was) await count(store, kind, tx, edge, false)
}

async function stateOf(store: Store, kind: Relations, tx: Tx, edge: Edge) {
  const known = await findRelation(store, kind, edge, tx)
  return { was: known?.on === true, ahead: known?.ahead ?? 0, news: known?.news ?? 0 }
}

async function count(store: Store, kind: Relations, tx: Tx, { to }: Edge, on: boolean): Promise<void> {
  if (kind === favorites) await countFavorite(store, tx, to, on ? 1 : -1)
}
