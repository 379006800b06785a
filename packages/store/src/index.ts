export { type Batch, createBatch } from './batch.ts'
export {
  type CollectionDefinition,
  collectionOf,
  defineCollection,
  ensureCollections,
  type IndexDefinition
} from './collection.ts'
export { countFitting, decodeCursor, encodeCursor, PAGE_BYTES, toPage } from './cursor.ts'
export { type Claim, createIdempotency, eraseAnswers, idempotencyKeys, type StoredAnswer } from './idempotency.ts'
export { BUCKETS, bucketFromText, bucketOf, isId, newId, randomBucket, timeOf } from './ids.ts'
export { insertMissing } from './insert-missing.ts'
export { type QueryMonitor, watchQueries } from './monitor.ts'
export { generationName, plainName, useNames } from './names.ts'
export { earlierLeases, leases, leaveRoles, type Roles, type RolesNow, readRoles, renewRoles } from './roles.ts'
export { clientOptions, openStore, type Store, type StoreOptions } from './store.ts'
export { storeWith } from './store-with.ts'
export { type CallContext, isDuplicate, isTransient, type Tx, transaction } from './transaction.ts'
export { createTurns, type Turns } from './turns.ts'
