import { collectionOf, defineCollection, newId, type Store } from '@skerry/store'
import { posts } from './posts.ts'

export type Trend = { tag: string; posts: number; authors: number; score: number }
type TrendsDocument = { _id: 'tags'; computedAt: Date; items: Trend[] }

/** What was computed last: one document. */
export const trends = defineCollection<TrendsDocument>({ name: 'trends', shardKey: null, indexes: [] })

export type Window = {
  now: Date
  since: Date
  /** The newest posts that are looked at. */
  max: number
  halfLifeMs: number
  /** Tags that are kept. */
  keep: number
}

/**
 * The tags of a window by score, highest first: the sum over a tag's authors of their best post, which weighs what people did with it and
 * fades with its age by halves. So one author counts once, however much they post.
 */
export async function computeTrends(store: Store, window: Window): Promise<Trend[]> {
  const { now, since, max, halfLifeMs, keep } = window
  const age = { $max: [0, { $subtract: [now, '$createdAt'] }] }
  const liked = { $add: [1, '$counts.likes', '$counts.comments'] }
  const found = await collectionOf(store.db, posts)
    .aggregate<Trend>(
      [
        // Ids begin with their time.
        { $match: { live: true, _id: { $gte: newId(0, since.getTime()) } } },
        { $sort: { _id: -1 } },
        { $limit: max },
        {
          $project: {
            authorId: 1,
            tags: 1,
            score: { $multiply: [{ $ln: { $add: [1, liked] } }, { $pow: [0.5, { $divide: [age, halfLifeMs] }] }] }
          }
        },
        { $unwind: '$tags' },
        { $group: { _id: { tag: '$tags', authorId: '$authorId' }, posts: { $sum: 1 }, score: { $max: '$score' } } },
        { $group: { _id: '$_id.tag', posts: { $sum: '$posts' }, authors: { $sum: 1 }, score: { $sum: '$score' } } },
        { $sort: { score: -1, _id: 1 } },
        { $limit: keep },
        { $project: { _id: 0, tag: '$_id', posts: 1, authors: 1, score: { $round: ['$score', 4] } } }
      ],
      { hint: { live: 1, _id: -1 }, comment: 'posts-all', maxTimeMS: 10_000, allowDiskUse: true }
    )
    .toArray()
  return found
}

export async function saveTrends(store: Store, computedAt: Date, items: Trend[]): Promise<void> {
  // A computation that was held up must not undo a later one.
  const documents = collectionOf(store.db, trends)
  await documents.updateOne(
    { _id: 'tags' },
    [
      {
        $set: {
          items: { $cond: [{ $lt: ['$computedAt', computedAt] }, { $literal: items }, '$items'] },
          computedAt: { $max: ['$computedAt', computedAt] }
        }
      }
    ],
    { upsert: true }
  )
}

export async function findTrends(store: Store): Promise<TrendsDocument | null> {
  return collectionOf(store.db, trends).findOne({ _id: 'tags' })
}
