import type { IdempotencyStore, StoredAnswer } from '../../src/index.ts'

/** Keeps answers in a Map. A transaction is an array of effects that its owner runs at commit. */
export class MapStore implements IdempotencyStore {
  readonly records = new Map<string, { bodyHash: string; answer?: StoredAnswer; bucketOf?: string | undefined }>()

  async claim({ id, bodyHash, bucketOf }: { id: string; bodyHash: string; bucketOf?: string }) {
    const record = this.records.get(id)
    if (record === undefined) {
      this.records.set(id, { bodyHash, bucketOf })
      return { state: 'new' as const }
    }
    if (record.bodyHash !== bodyHash) return { state: 'mismatch' as const }
    return record.answer === undefined
      ? { state: 'in-flight' as const }
      : { state: 'done' as const, answer: record.answer }
  }

  async complete(id: string, answer: StoredAnswer, tx?: unknown, owner?: string) {
    const record = this.records.get(id)
    if (record === undefined) throw new Error('nobody claimed this')
    const effect = () => {
      record.answer = answer
      if (owner !== undefined) record.bucketOf = owner
    }
    if (Array.isArray(tx)) tx.push(effect)
    else effect()
  }

  async record(record: { id: string; bodyHash: string; bucketOf?: string; answer: StoredAnswer }, tx?: unknown) {
    const { id, ...kept } = record
    const effect = () => {
      if (this.records.has(id)) throw new Error('it is taken')
      this.records.set(id, kept)
    }
    // What is uncommitted is taken, too.
    if (this.records.has(id)) throw new Error('it is taken')
    if (Array.isArray(tx)) tx.push(effect)
    else effect()
  }

  async find({ id, bodyHash }: { id: string; bodyHash: string }) {
    return this.records.has(id) ? this.claim({ id, bodyHash }) : { state: 'new' as const }
  }

  async release(id: string) {
    if (this.records.get(id)?.answer === undefined) this.records.delete(id)
  }
}
