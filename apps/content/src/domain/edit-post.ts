import { type BodyOf, type contentRoutes, type Post, PostDeleted, PostUpdated, SkerryError } from '@skerry/contracts'
import { publish } from '@skerry/events'
import type { Precondition } from '@skerry/service'
import { bucketOf, type CallContext, transaction } from '@skerry/store'
import { deleteOwnEntry } from '../data/feeds.ts'
import { buryPost, editPost, findPostOrTombstone, type PostDocument, type PostEdit } from '../data/posts.ts'
import { deleteTagged, insertTagged } from '../data/tagged.ts'
import { eventOf } from './create-post.ts'
import type { Deps } from './deps.ts'
import type { Person } from './person.ts'
import { presentPosts } from './present.ts'
import { wordsOf } from './words.ts'

export type Edit = BodyOf<typeof contentRoutes.updatePost>
type Target = { id: string; ifMatch: Precondition | undefined }

/** Changes one's own post. What changes nothing makes no version and no event. */
export async function updatePost(
  deps: Deps,
  caller: Person,
  target: Target,
  edit: Edit,
  call: CallContext
): Promise<Post> {
  const { store } = deps
  const words = wordsOf(edit)
  const post = await deps.turns(target.id, () =>
    transaction(store, call, async (tx) => {
      const before = ownOf(await findPostOrTombstone(store, target.id, bucketOf(target.id), tx), caller, target)
      const changes = changesOf(before, words)
      if (changes === undefined) return before
      const now = new Date()
      const after: PostDocument = { ...before, ...changes, updatedAt: now, version: before.version + 1 }
      await editPost(store, tx, before, changes, now)
      const ref = { postId: before._id, authorId: before.authorId }
      await deleteTagged(store, tx, before._id, without(before.tags, after.tags))
      await insertTagged(store, tx, ref, without(after.tags, before.tags))
      publish(store, tx, PostUpdated, eventOf(after))
      return after
    })
  )
  const [presented] = await presentPosts(deps, [post], caller)
  return presented!
}

/**
 * Deletes one's own post; what hangs on it is cleared away by its event. Deleting it again does nothing and is no error: whoever repeats
 * it may not have had the first answer. Answers whether there was something to delete.
 */
export async function deletePost(deps: Deps, caller: Person, target: Target, call: CallContext): Promise<boolean> {
  const { store } = deps
  return deps.turns(target.id, () =>
    transaction(store, call, async (tx) => {
      const found = await findPostOrTombstone(store, target.id, bucketOf(target.id), tx)
      if (isDeletedBy(found, caller, target)) return false
      const post = ownOf(found, caller, target)
      const ref = { postId: post._id, authorId: post.authorId }
      await buryPost(store, tx, post, new Date())
      await deleteOwnEntry(store, tx, ref)
      await deleteTagged(store, tx, post._id, post.tags)
      publish(store, tx, PostDeleted, ref)
      return true
    })
  )
}

/**
 * Whether the caller has deleted this post before. With a precondition only from the version that it names: then it "appears to have
 * already been applied" (RFC 9110 13.1.1).
 */
function isDeletedBy(post: PostDocument | undefined, caller: Person, { ifMatch }: Target): boolean {
  if (post === undefined || post.live === true || post.authorId !== caller.userId) return false
  if (ifMatch !== undefined && ifMatch !== 'any' && !ifMatch.versions.includes(post.version - 1))
    throw new SkerryError('PRECONDITION_FAILED')
  return true
}

/** The post, if it is there, the caller's own, and of the version that was asked for. */
function ownOf(post: PostDocument | undefined, caller: Person, { ifMatch }: Target): PostDocument {
  if (post?.live !== true) throw new SkerryError('CNT_POST_NOT_FOUND')
  if (post.authorId !== caller.userId) throw new SkerryError('FORBIDDEN')
  if (ifMatch !== undefined && ifMatch !== 'any' && !ifMatch.versions.includes(post.version)) {
    throw new SkerryError('PRECONDITION_FAILED')
  }
  return post
}

/** The members of an edit that differ from the post, or undefined when none does. */
function changesOf(post: PostDocument, edit: Edit): PostEdit | undefined {
  const changes: PostEdit = {}
  if (edit.text !== undefined && edit.text !== post.text) changes.text = edit.text
  if (edit.title !== undefined && edit.title !== post.title) changes.title = edit.title
  if (edit.summary !== undefined && edit.summary !== post.summary) changes.summary = edit.summary
  const tags = edit.tags === null ? [] : edit.tags
  if (tags !== undefined && JSON.stringify(tags) !== JSON.stringify(post.tags)) changes.tags = tags
  return Object.keys(changes).length > 0 ? changes : undefined
}

function without(these: readonly string[], those: readonly string[]): string[] {
  return these.filter((tag) => !those.includes(tag))
}
