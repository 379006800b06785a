import type { ExportItem, Part } from '@skerry/events'
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
  for (let before: string | undefined; ; ) {
    const posts = await findPostsOf(store, { authorId: userId, bucket }, { before, limit: PAGE })
    for (const { _id: id, title, summary, text, tags, counts, createdAt, updatedAt } of posts)
      yield { section: 'posts', item: { id, title, summary, text, tags, counts, createdAt, updatedAt } }
    if (posts.length < PAGE) break
    before = posts.at(-1)?._id
  }
  for (let before: string | undefined; ; ) {
    const comments = await findCommentsBy(store, userId, { before, limit: PAGE })
    for (const { _id: id, postId, text, createdAt } of comments)
      yield { section: 'comments', item: { id, postId, text, createdAt } }
    if (comments.length < PAGE) break
    before = comments.at(-1)?._id
  }
  for (let after: string | undefined; ; ) {
    const likes = await findLikesOf(store, { userId, bucket }, { after, limit: PAGE })
    for (const item of likes) yield { section: 'likes', item }
    if (likes.length < PAGE) break
    after = likes.at(-1)?.postId
  }
}
