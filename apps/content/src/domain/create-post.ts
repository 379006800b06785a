import { type Author, type BodyOf, type contentRoutes, type Post, PostCreated, SkerryError } from '@skerry/contracts'
import { publish } from '@skerry/events'
import { bucketOf, type CallContext, newId, transaction } from '@skerry/store'
import { saveAuthor } from '../data/authors.ts'
import { insertOwnEntry } from '../data/feeds.ts'
import { insertPost, type PostDocument } from '../data/posts.ts'
import { insertTagged } from '../data/tagged.ts'
import type { Deps } from './deps.ts'
import type { Person } from './person.ts'
import { presentPost } from './present.ts'
import { wordsOf } from './words.ts'

export type NewPost = BodyOf<typeof contentRoutes.createPost>

/** Publishes a post: it stands in the author's list and feed, and under its tags, when this resolves. */
export async function createPost(deps: Deps, caller: Person, input: NewPost, call: CallContext): Promise<Post> {
  refuseMedia(input.mediaIds)
  const { store } = deps
  const { text, title, summary, tags } = { ...input, ...wordsOf(input) }
  const bucket = bucketOf(caller.userId)
  const now = new Date()
  const post: PostDocument = {
    _id: newId(bucket, now.getTime()),
    bucket,
    authorId: caller.userId,
    title: title ?? null,
    summary: summary ?? null,
    text,
    tags: tags ?? [],
    counts: { likes: 0, comments: 0 },
    version: 1,
    createdAt: now,
    updatedAt: now,
    live: true
  }
  const ref = { postId: post._id, authorId: post.authorId }
  const result = presentPost(post, await introduce(deps, caller), false)
  return transaction(store, call, async (tx) => {
    await insertPost(store, tx, post)
    await insertOwnEntry(store, tx, ref)
    await insertTagged(store, tx, ref, post.tags)
    publish(store, tx, PostCreated, eventOf(post))
    return result
  })
}

/** The payload of created and updated. */
export function eventOf(post: PostDocument) {
  return {
    postId: post._id,
    authorId: post.authorId,
    title: post.title,
    summary: post.summary,
    text: post.text,
    tags: post.tags,
    createdAt: post.createdAt.toISOString(),
    updatedAt: post.updatedAt.toISOString(),
    version: post.version
  }
}

/** What the caller is called. Others should see a name beside what somebody writes before their profile's event is here: their token has one. */
export async function introduce(deps: Deps, caller: Person): Promise<Author> {
  const { userId: id, username, displayName } = caller
  const known = await deps.authors.find(id)
  if (known !== undefined) return known
  const told = { id, username, displayName, avatar: null }
  await saveAuthor(deps.store, told, -1)
  return told
}

function refuseMedia(mediaIds: readonly string[] | undefined): void {
  if (mediaIds === undefined || mediaIds.length === 0) return
  throw new SkerryError('BAD_REQUEST', {
    errors: mediaIds.map((_, i) => ({
      path: `body.mediaIds.${i}`,
      code: 'not_found',
      message: 'is not one of your uploads'
    }))
  })
}
