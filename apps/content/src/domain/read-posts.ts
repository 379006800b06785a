import { type PageOf, type Post, SkerryError } from '@skerry/contracts'
import { bucketOf, countFitting, decodeCursor, encodeCursor, toPage } from '@skerry/store'
import { findNewestPosts, findPostsOf, type PostDocument } from '../data/posts.ts'
import { findTagged } from '../data/tagged.ts'
import type { Deps } from './deps.ts'
import type { Person } from './person.ts'
import { bytesOf, presentPosts } from './present.ts'
import { tagForms } from './words.ts'

/** One post. Throws CNT_POST_NOT_FOUND. */
export async function getPost(deps: Deps, caller: Person, id: string): Promise<Post> {
  const post = await deps.reads.posts.one(id)
  if (post === undefined) throw new SkerryError('CNT_POST_NOT_FOUND')
  const [presented] = await presentPosts(deps, [post], caller)
  return presented!
}

export type ListQuery = {
  author?: string | undefined
  tag?: string | undefined
  limit?: number | undefined
  cursor?: string | undefined
}

/** A list of posts, newest first: an author's, those with a tag, an author's with a tag, or all. */
export async function listPosts(deps: Deps, caller: Person, query: ListQuery): Promise<PageOf<Post>> {
  const { author, tag, limit = 20 } = query
  const tags = tag === undefined ? undefined : tagForms(tag)
  const list = `posts:${author ?? ''}:${tags?.[0] ?? ''}`
  const before = decodeCursor(list, query.cursor, ['string'])?.[0] as string | undefined
  if (author === undefined && tags !== undefined) return listTagged(deps, caller, { list, tags, before, limit })
  const read = { before, limit: limit + 1 }
  const found =
    author === undefined
      ? await findNewestPosts(deps.store, read)
      : await findPostsOf(deps.store, { authorId: author, bucket: bucketOf(author) }, { ...read, tags })
  const page = toPage(
    list,
    found,
    limit,
    (post) => [post._id],
    (post) => post,
    bytesOf
  )
  return { items: await presentPosts(deps, page.items, caller), nextCursor: page.nextCursor }
}

type TagQuery = { list: string; tags: readonly string[]; before: string | undefined; limit: number }

async function listTagged(deps: Deps, caller: Person, query: TagQuery): Promise<PageOf<Post>> {
  const { list, tags, before, limit } = query
  const refs = await findTagged(deps.store, tags, { before, limit: limit + 1 })
  const ids = refs.slice(0, limit).map((ref) => ref.postId)
  const byId = await deps.reads.posts.many(ids)
  // A post may have gone between the two reads.
  const found = ids.map((id) => byId.get(id)).filter((post): post is PostDocument => post !== undefined)
  const posts = found.slice(0, countFitting(found, bytesOf))
  const isCut = posts.length < found.length
  const last = isCut ? posts.at(-1)?._id : ids.at(-1)
  const nextCursor = (isCut || refs.length > limit) && last !== undefined ? encodeCursor(list, [last]) : null
  return { items: await presentPosts(deps, posts, caller), nextCursor }
}
