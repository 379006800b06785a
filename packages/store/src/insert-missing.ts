import { type Collection, type Document, MongoBulkWriteError, type OptionalUnlessRequiredId } from 'mongodb'

const DUPLICATE = 11000

/** Inserts documents, outside of a transaction; what is there already, by whatever unique key, stays as it is. */
export async function insertMissing<D extends Document>(collection: Collection<D>, documents: D[]): Promise<void> {
  if (documents.length === 0) return
  try {
    await collection.insertMany(documents as OptionalUnlessRequiredId<D>[], { ordered: false })
  } catch (error) {
    if (!(error instanceof MongoBulkWriteError)) throw error
    const failures = [error.writeErrors].flat()
    if (failures.length === 0 || failures.some((failure) => failure.code !== DUPLICATE)) throw error
    // It would be told of only where no document had failed.
    const unsure = error.result.getWriteConcernError()
    if (unsure !== undefined) throw unsure
  }
}
