import { type ExportItem, type Part, pageByPage } from '@skerry/events'
import { bucketOf } from '@skerry/store'
import { findCommentsBy } from '../data/comments.ts'
import { findLikesOf } from '../data/likes.ts'
import { findPostsOf } from '../data/posts.ts'
import type { Deps } from './deps.ts'
import { erasePerson } from './erase-person.ts'

const PAGE = 100

/** What content does when somebody's account ends or is exported. */
export function contentPart(deps: Deps): Part {
  return {
    store: deps.store,
    service: 'content',
    erase: (userId) => erasePerson(deps, userId),
    exportItems: (userId) => exportItems(deps, userId)
  }
}

async function* exportItems({ store }: Deps, userId: string): AsyncGenerator<ExportItem> {
  const bucket = bucketOf(userId)
  const posts = pageByPage(
    (before: string | undefined, limit) => findPostsOf(store, { authorId: userId, bucket }, { before, limit }),
    ({ _id }) => _id,
    PAGE
  )
  for await (const { _id: id, title, summary, text, tags, counts, createdAt, updatedAt } of posts)
    yield { section: 'posts', item: { id, title, summary, text, tags, counts, createdAt, updatedAt } }
  const comments = pageByPage(
    (before: string | undefined, limit) => findCommentsBy(store, userId, { before, limit }),
    ({ _id }) => _id,
    PAGE
  )
  for await (const { _id: id, postId, text, createdAt } of comments)
    yield { section: 'comments', item: { id, postId, text, createdAt } }
  const likes = pageByPage(
    (after: string | undefined, limit) => findLikesOf(store, { userId, bucket }, { after, limit }),
    ({ postId }) => postId,
    PAGE
  )
  for await (const item of likes) yield { section: 'likes', item }
}
