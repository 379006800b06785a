import { currentDeadline, deadlinePassed } from '@skerry/deadline'
import type { Collection, Db, Document } from 'mongodb'
import { storedName } from './names.ts'

/** The methods that send a command, by the place of their options. The others of a collection are made of these. */
const OPTIONS_AT = {
  find: 1,
  aggregate: 1,
  insertOne: 1,
  bulkWrite: 1,
  deleteOne: 1,
  deleteMany: 1,
  findOneAndDelete: 1,
  distinct: 2,
  updateOne: 2,
  updateMany: 2,
  replaceOne: 2,
  findOneAndUpdate: 2,
  findOneAndReplace: 2
} as const

type Method = (this: unknown, ...args: unknown[]) => unknown
type Bounds = { maxTimeMS?: number }

const known = new WeakMap<Db, Map<string, Collection>>()

/**
 * The driver's collection, whose operations end with the deadline they run under: each is given `maxTimeMS`, what is left or its own where
 * that is less, so that mongod itself stops; when nothing is left none is sent, and it rejects with UNAVAILABLE. Without a deadline it
 * is the driver's. Made once for each name; where this view of the database stores it under another name (`useNames`), that one's.
 */
export function boundedCollection<T extends Document>(db: Db, name: string): Collection<T> {
  let ofDb = known.get(db)
  if (ofDb === undefined) {
    ofDb = new Map()
    known.set(db, ofDb)
  }
  const stored = storedName(db, name)
  let collection = ofDb.get(stored)
  if (collection === undefined) {
    collection = db.collection(stored)
    for (const [method, at] of Object.entries(OPTIONS_AT)) bound(collection, method, at)
    ofDb.set(stored, collection)
  }
  return collection as unknown as Collection<T>
}

function bound(collection: Collection, method: string, optionsAt: number): void {
  const methods = collection as unknown as Record<string, Method>
  const plain = methods[method]!
  const cursor = method === 'find' || method === 'aggregate'
  methods[method] = function (...args) {
    const deadline = currentDeadline()
    if (deadline === undefined) return plain.apply(this, args)
    const left = deadline.remainingMs()
    const options = args[optionsAt] as Bounds | undefined
    if (left <= 0) {
      // Never thrown at once: a promise that was made beside this one would be left alone with its rejection.
      if (!cursor) return Promise.reject(deadlinePassed())
      args[optionsAt] = { ...options, signal: AbortSignal.abort(deadlinePassed()) }
    } else if (left < (options?.maxTimeMS ?? Number.POSITIVE_INFINITY)) {
      args[optionsAt] = { ...options, maxTimeMS: Math.ceil(left) }
    }
    return plain.apply(this, args)
  }
}
