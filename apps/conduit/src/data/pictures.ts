import { bucketOf, collectionOf, defineCollection, type Store } from '@skerry/store'
import { bucketsOf, despiteOthers } from './common.ts'

type PictureDocument = { _id: string; bucket: number; url: string }

/** Pictures of people by URL, which Skerry's profiles do not take. */
export const pictures = defineCollection<PictureDocument>({
  name: 'pictures',
  shardKey: { bucket: 1, _id: 1 },
  indexes: []
})

export async function findPictures(store: Store, userIds: readonly string[]): Promise<Map<string, string>> {
  if (userIds.length === 0) return new Map()
  const found = await collectionOf(store.db, pictures)
    .find({ bucket: { $in: bucketsOf(userIds) }, _id: { $in: [...userIds] } }, { hint: { _id: 1 } })
    .toArray()
  return new Map(found.map(({ _id, url }) => [_id, url]))
}

/** Sets somebody's picture, or takes it away. Resolves with how many were taken away. */
export async function savePicture(store: Store, userId: string, url: string | null): Promise<number> {
  const where = { bucket: bucketOf(userId), _id: userId }
  const collection = collectionOf(store.db, pictures)
  if (url === null) return (await collection.deleteOne(where)).deletedCount
  await despiteOthers(() => collection.updateOne(where, { $set: { url } }, { upsert: true, hint: { _id: 1 } }))
  return 0
}
