import { bucketOf, collectionOf, defineCollection, type Store, type Tx } from '@skerry/store'

export type Sent = {
  service: string
  at: Date
  run: string
  parts: number
  counts: Record<string, number>
  truncated: boolean
}

export type ExportDocument = {
  _id: string
  /** The user's. */
  bucket: number
  userId: string
  requestedAt: Date
  expiresAt: Date
  readyAt?: Date
  waitingFor: string[]
  sent: Sent[]
}

type PartDocument = {
  /** `<exportId>:<service>:<run>:<part>`, the part with four digits: the order of ids is the order of parts. */
  _id: string
  bucket: number
  section: string
  /** JSON of the items. */
  items: string
  expiresAt: Date
}

const EXPIRY = { key: { expiresAt: 1 as const }, options: { expireAfterSeconds: 0 } }

export const exports = defineCollection<ExportDocument>({
  name: 'exports',
  shardKey: { bucket: 1, _id: 1 },
  indexes: [{ key: { bucket: 1, userId: 1, _id: -1 } }, { key: { waitingFor: 1, _id: 1 } }, EXPIRY],
  untargeted: { 'exports-waiting': 'What waits for a service that leaves, of all users.' }
})

/** What services have sent, until the export expires. */
export const exportParts = defineCollection<PartDocument>({
  name: 'export_parts',
  shardKey: { bucket: 1, _id: 1 },
  indexes: [EXPIRY]
})

const keyOf = (id: string) => ({ bucket: bucketOf(id), _id: id })

export async function insertExport(store: Store, tx: Tx, document: ExportDocument): Promise<void> {
  await collectionOf(store.db, exports).insertOne(document, { session: tx.session })
}

export async function findExport(store: Store, id: string, tx?: Tx): Promise<ExportDocument | null> {
  return collectionOf(store.db, exports).findOne(keyOf(id), tx === undefined ? {} : { session: tx.session })
}

/** The user's exports, newest first: one, and now and then one that is about to go. */
export function findExportsOf(store: Store, userId: string): Promise<ExportDocument[]> {
  return collectionOf(store.db, exports)
    .find({ bucket: bucketOf(userId), userId }, { sort: { _id: -1 }, limit: 100 })
    .toArray()
}

export async function savePart(
  store: Store,
  tx: Tx | undefined,
  part: {
    exportId: string
    service: string
    run: string
    part: number
    section: string
    items: readonly unknown[]
    expiresAt: Date
  }
): Promise<void> {
  const { exportId, service, run, section, items, expiresAt } = part
  const _id = `${exportId}:${service}:${run}:${String(part.part).padStart(4, '0')}`
  await collectionOf(store.db, exportParts).updateOne(
    { bucket: bucketOf(exportId), _id },
    { $set: { section, items: JSON.stringify(items), expiresAt } },
    { upsert: true, ...(tx === undefined ? {} : { session: tx.session }) }
  )
}

/** Notes that a service has sent everything, or left. Answers what stands then; null when it was not waited for. */
export async function noteSent(
  store: Store,
  tx: Tx,
  id: string,
  sent: Sent | { service: string }
): Promise<ExportDocument | null> {
  const { service } = sent
  return collectionOf(store.db, exports).findOneAndUpdate(
    { ...keyOf(id), waitingFor: service },
    { $pull: { waitingFor: service }, ...('run' in sent ? { $push: { sent } } : {}) },
    { session: tx.session, returnDocument: 'after', hint: { _id: 1 } }
  )
}

export async function markReady(store: Store, tx: Tx, id: string, readyAt: Date): Promise<void> {
  await collectionOf(store.db, exports).updateOne(keyOf(id), { $set: { readyAt } }, { session: tx.session })
}

/** Exports that wait for a service, the oldest first. */
export function findWaitingExports(store: Store, service: string, limit: number): Promise<ExportDocument[]> {
  return collectionOf(store.db, exports)
    .find({ waitingFor: service }, { sort: { _id: 1 }, limit, comment: 'exports-waiting' })
    .toArray()
}

/** The parts of one service's attempt in their order, read as they are asked for. */
export async function* partsOf(
  store: Store,
  exportId: string,
  sent: { service: string; run: string }
): AsyncGenerator<{ section: string; items: string }> {
  const prefix = `${exportId}:${sent.service}:${sent.run}`
  yield* collectionOf(store.db, exportParts).find(
    { bucket: bucketOf(exportId), _id: { $gte: `${prefix}:`, $lt: `${prefix};` } },
    { sort: { _id: 1 }, batchSize: 4, hint: { _id: 1 } }
  )
}

/** How many parts of one service's attempt are here. */
export function countParts(
  store: Store,
  tx: Tx,
  exportId: string,
  sent: { service: string; run: string }
): Promise<number> {
  const prefix = `${exportId}:${sent.service}:${sent.run}`
  return collectionOf(store.db, exportParts).countDocuments(
    { bucket: bucketOf(exportId), _id: { $gte: `${prefix}:`, $lt: `${prefix};` } },
    { session: tx.session, hint: { _id: 1 } }
  )
}

export async function deleteExport(store: Store, id: string): Promise<void> {
  await collectionOf(store.db, exportParts).deleteMany({
    bucket: bucketOf(id),
    _id: { $gte: `${id}:`, $lt: `${id};` }
  })
  await collectionOf(store.db, exports).deleteOne(keyOf(id))
}
