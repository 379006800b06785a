import {
  type Article,
  ArticleCreated,
  ArticleDeleted,
  type BodyOf,
  type conduitRoutes,
  type PageOf,
  type QueryOf,
  SkerryError
} from '@skerry/contracts'
import { publish } from '@skerry/events'
import type { Precondition } from '@skerry/service'
import { bucketOf, type CallContext, decodeCursor, newId, type Store, toPage, transaction } from '@skerry/store'
import { type ArticleDocument, eraseArticle, findArticle, findArticlesOf, insertArticle } from '../data/conduit.ts'

/** What the domain works with. */
export type Deps = { store: Store }

const DEFAULT_LIMIT = 20
/** How many are deleted in one transaction when an account ends. */
const BATCH = 100

/** Keeps a new article; with its event when this resolves. */
export async function createArticle(
  { store }: Deps,
  ownerId: string,
  input: BodyOf<typeof conduitRoutes.createArticle>,
  call: CallContext
): Promise<Article> {
  // On the shard of its owner.
  const bucket = bucketOf(ownerId)
  const now = new Date()
  const document: ArticleDocument = {
    _id: newId(bucket, now.getTime()),
    bucket,
    ownerId,
    text: input.text,
    version: 1,
    createdAt: now
  }
  return transaction(store, call, async (tx) => {
    await insertArticle(store, tx, document)
    publish(store, tx, ArticleCreated, {
      articleId: document._id,
      ownerId,
      text: document.text,
      createdAt: now.toISOString()
    })
    return present(document)
  })
}

/** Throws NOT_FOUND for what is not there, and for what is somebody else's. */
export async function getArticle({ store }: Deps, ownerId: string, id: string): Promise<Article> {
  const found = await findArticle(store, ownerId, id)
  if (found === null) throw new SkerryError('NOT_FOUND')
  return present(found)
}

/** Newest first. */
export async function listArticles(
  { store }: Deps,
  ownerId: string,
  query: QueryOf<typeof conduitRoutes.listArticles>
): Promise<PageOf<Article>> {
  const list = `conduit:${ownerId}`
  const [before] = decodeCursor(list, query.cursor, ['string']) ?? []
  const limit = query.limit ?? DEFAULT_LIMIT
  const found = await findArticlesOf(store, ownerId, { before: before as string | undefined, limit: limit + 1 })
  return toPage(list, found, limit, ({ _id }) => [_id], present)
}

/** Throws NOT_FOUND, or PRECONDITION_FAILED when it is not of the version that `If-Match` names. */
export async function deleteArticle(
  { store }: Deps,
  ownerId: string,
  { id, ifMatch }: { id: string; ifMatch: Precondition | undefined },
  call: CallContext
): Promise<void> {
  await transaction(store, call, async (tx) => {
    const found = await findArticle(store, ownerId, id, tx)
    if (found === null) throw new SkerryError('NOT_FOUND')
    if (ifMatch !== undefined && ifMatch !== 'any' && ifMatch.version !== found.version)
      throw new SkerryError('PRECONDITION_FAILED')
    await eraseArticle(store, tx, found)
    publish(store, tx, ArticleDeleted, { articleId: id, ownerId })
  })
}

/** Deletes all that an ended account had. May be repeated: what is gone is not found again. */
export async function deleteAllOf({ store }: Deps, ownerId: string, call: CallContext): Promise<void> {
  for (;;) {
    const found = await findArticlesOf(store, ownerId, { before: undefined, limit: BATCH })
    if (found.length === 0) return
    await transaction(store, call, async (tx) => {
      for (const document of found) {
        if (await eraseArticle(store, tx, document))
          publish(store, tx, ArticleDeleted, { articleId: document._id, ownerId })
      }
    })
  }
}

function present({ _id, ownerId, text, version, createdAt }: ArticleDocument): Article {
  return { id: _id, ownerId, text, version, createdAt: createdAt.toISOString() }
}
