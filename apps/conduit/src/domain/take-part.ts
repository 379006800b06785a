import { ConduitExportPart } from '@skerry/contracts'
import { type Counts, type ExportItem, eraseEvents, type Part, pageByPage } from '@skerry/events'
import { type Store, transaction } from '@skerry/store'
import { findArticlesBy } from '../data/articles.ts'
import { findCommentsBy } from '../data/comments.ts'
import { findPictures, savePicture } from '../data/pictures.ts'
import { deleteSessions, findSessionsOf } from '../data/sessions.ts'
import { forgetPerson } from './forget.ts'
import { applyCommentDeleted, applyPostDeleted } from './model.ts'

const PAGE = 100

/** What Conduit does when somebody's account ends or is exported. */
export function conduitPart(store: Store): Part {
  return {
    store,
    service: 'conduit',
    erase: (userId) => erase(store, userId),
    exportItems: (userId) => exportItems(store, userId)
  }
}

/**
 * Erases all of somebody. What they wrote ends here as content's events will end it, which then change nothing; whoever reads before those come
 * finds it gone.
 */
async function erase(store: Store, userId: string): Promise<Counts> {
  const sessions = await deleteSessions(store, userId)
  const pictures = await savePicture(store, userId, null)
  const relations = await forgetPerson(store, userId)
  const counts = {
    ...{ sessions, pictures, ...relations },
    articles: await eraseArticles(store, userId),
    comments: await eraseComments(store, userId)
  }
  await eraseEvents(store, [ConduitExportPart], [userId])
  return counts
}

async function eraseArticles(store: Store, authorId: string): Promise<number> {
  for (let gone = 0; ; ) {
    const found = await findArticlesBy(store, authorId, { before: undefined, limit: PAGE })
    if (found.length === 0) return gone
    for (const { _id: postId } of found)
      await transaction(store, {}, (tx) => applyPostDeleted(store, tx, { postId, authorId }))
    gone += found.length
  }
}

async function eraseComments(store: Store, authorId: string): Promise<number> {
  for (let gone = 0; ; ) {
    const found = await findCommentsBy(store, authorId, { before: undefined, limit: PAGE })
    if (found.length === 0) return gone
    for (const { _id: commentId, postId } of found)
      await transaction(store, {}, (tx) => applyCommentDeleted(store, tx, { commentId, postId }))
    gone += found.length
  }
}

/** What only Conduit keeps: the texts are in content's part, the profile in that of users. */
async function* exportItems(store: Store, userId: string): AsyncGenerator<ExportItem> {
  for (const { _id: id, expiresAt } of await findSessionsOf(store, userId))
    yield { section: 'sessions', item: { id, expiresAt } }
  const url = (await findPictures(store, [userId])).get(userId)
  if (url !== undefined) yield { section: 'picture', item: { url } }
  const articles = pageByPage(
    (before: string | undefined, limit) => findArticlesBy(store, userId, { before, limit }),
    ({ _id }) => _id,
    PAGE
  )
  for await (const { _id: postId, slug } of articles) yield { section: 'articles', item: { postId, slug } }
  const comments = pageByPage(
    (before: string | undefined, limit) => findCommentsBy(store, userId, { before, limit }),
    ({ _id }) => _id,
    PAGE
  )
  for await (const { _id: commentId, postId, number } of comments)
    yield { section: 'comments', item: { commentId, postId, number } }
}
