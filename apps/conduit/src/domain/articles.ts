import type { ConduitArticleAnswer, ConduitArticleChange, NewConduitArticle, Post } from '@skerry/contracts'
import { isBlank } from '@skerry/text'
import type { Visit } from '../api.ts'
import { type Article, findArticle } from '../data/articles.ts'
import { favorites } from '../data/relations.ts'
import { findSlug } from '../data/slugs.ts'
import { ConduitError, notFound } from '../errors.ts'
import { resultOf } from './api-errors.ts'
import type { Deps } from './deps.ts'
import { apply, applyPost, applyPostDeleted } from './model.ts'
import { presentArticle, type Viewer } from './present.ts'
import { setRelation } from './relate.ts'
import { callAs, type Session } from './session.ts'

const TAGS_MAX = 20
const TAG_LENGTH = 50

export async function readArticle(deps: Deps, viewer: Viewer, slug: string): Promise<ConduitArticleAnswer> {
  return presentArticle(deps, viewer, await requireArticle(deps, slug))
}

/** The article of a slug. Throws 404. */
export async function requireArticle(deps: Deps, slug: string): Promise<Article> {
  const postId = await findSlug(deps.store, slug)
  const found = postId === undefined ? undefined : await findArticle(deps.store, postId)
  // A slug that is being taken over by a new title leads nowhere for that moment.
  if (found?.live !== true || found.slug !== slug) throw notFound('article')
  return found as Article
}

export async function createArticle(
  deps: Deps,
  session: Session,
  input: NewConduitArticle,
  visit: Visit
): Promise<ConduitArticleAnswer> {
  refuseBlank(input)
  const { title, description: summary, body: text, tagList } = input
  const tags = tagList === undefined ? [] : tagsOf(tagList)
  const request = { method: 'POST', path: '/v1/posts', body: { title, summary, text, tags } } as const
  return take(deps, session, resultOf(await callAs<Post>(deps, session, request, visit)), visit)
}

/** Changes one's own article. Throws 404, and 403 when it is not theirs. */
export async function updateArticle(
  deps: Deps,
  session: Session,
  { slug, change }: { slug: string; change: ConduitArticleChange },
  visit: Visit
): Promise<ConduitArticleAnswer> {
  const article = await requireArticle(deps, slug)
  refuseBlank(change)
  const { title, description, body, tagList } = change
  const edit = {
    ...(title === undefined ? {} : { title }),
    ...(description === undefined ? {} : { summary: description }),
    ...(body === undefined ? {} : { text: body }),
    ...(tagList === undefined ? {} : { tags: tagsOf(tagList) })
  }
  // Asked all the same, so that somebody else's article is refused; an edit to what is there changes nothing.
  const asked = Object.keys(edit).length > 0 ? edit : { title: article.title }
  const request = { method: 'PATCH', path: `/v1/posts/${article._id}`, body: asked } as const
  return take(deps, session, resultOf(await callAs<Post>(deps, session, request, visit), 'article'), visit)
}

export async function deleteArticle(deps: Deps, session: Session, slug: string, visit: Visit): Promise<void> {
  const { _id: postId, authorId } = await requireArticle(deps, slug)
  resultOf(await callAs(deps, session, { method: 'DELETE', path: `/v1/posts/${postId}` }, visit), 'article')
  await apply(deps.store, visit.call, (tx) => applyPostDeleted(deps.store, tx, { postId, authorId }))
}

/** Adds an article to one's favourites or takes it away; doing so twice is doing so once. */
export async function setFavorite(
  deps: Deps,
  session: Session,
  { slug, on }: { slug: string; on: boolean },
  visit: Visit
): Promise<ConduitArticleAnswer> {
  const { _id: postId } = await requireArticle(deps, slug)
  const edge = { from: session.userId, to: postId }
  await setRelation(deps, session, { kind: favorites, edge, on, path: `/v1/posts/${postId}/like` }, visit)
  return presentArticle(deps, session, await requireArticle(deps, slug))
}

/** Brings the API's answer into the read model and shows it. */
async function take(deps: Deps, session: Session, post: Post, visit: Visit): Promise<ConduitArticleAnswer> {
  const { store } = deps
  await apply(store, visit.call, (tx) => applyPost(store, tx, { ...post, postId: post.id, authorId: post.author.id }))
  const article = await findArticle(store, post.id)
  // Somebody has deleted it meanwhile.
  if (article?.live !== true) throw notFound('article')
  return presentArticle(deps, session, article as Article)
}

/** What cannot be seen is no title, for RealWorld. */
function refuseBlank(input: ConduitArticleChange): void {
  const blank = (['title', 'description', 'body'] as const).filter((name) => isBlank(input[name] ?? 'absent'))
  if (blank.length > 0) throw new ConduitError(422, Object.fromEntries(blank.map((name) => [name, ["can't be blank"]])))
}

/** Tags as Skerry takes them: without white space, `#` and commas, each once. */
function tagsOf(list: readonly string[]): string[] {
  const tags = [...new Set(list.map((tag) => withoutHyphens(tag.trim().replace(/[\s,#]+/g, '-'))))].filter(
    (tag) => tag !== ''
  )
  const wrong = [
    ...(tags.length > TAGS_MAX ? [`must not have more than ${TAGS_MAX} tags`] : []),
    ...(tags.some((tag) => tag.length > TAG_LENGTH) ? [`must not have tags of more than ${TAG_LENGTH} characters`] : [])
  ]
  if (wrong.length > 0) throw new ConduitError(422, { tagList: wrong })
  return tags
}

/** Without the hyphens at both ends. */
function withoutHyphens(text: string): string {
  let from = 0
  let to = text.length
  while (text[from] === '-') from++
  while (to > from && text[to - 1] === '-') to--
  return text.slice(from, to)
}
