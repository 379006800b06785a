import type { CompletionResult, JetStreamManager, StoredMsg } from '@nats-io/jetstream'
import { entryOf, type LiveEntry, type LogBatch } from './entry.ts'
import { LOG } from './log-stream.ts'

const BATCH = 100
const BATCH_BYTES = 128 * 1024
const READ_MS = 3_000
const NOT_FOUND = 404

/**
 * One batch of a user's messages after a sequence, by direct get: no consumer is made. By callback, because the iterator of
 * @nats-io/jetstream 3.4 leaves its subscription behind and waits for ever when the server goes in the middle of a batch.
 */
export function readLog(jsm: JetStreamManager, userId: string, after: number): Promise<LogBatch> {
  return new Promise((resolve, reject) => {
    const entries: LiveEntry[] = []
    let held = 0
    let left = 0
    const callback = (done: CompletionResult | null, message: StoredMsg) => {
      if (done === null) {
        const entry = entryOf(message.header, message.string())
        left = Number(message.header.get('Nats-Num-Pending')) || 0
        if (entries.length === 0) held = left + 1
        if (entry !== undefined) entries.push(entry)
        return
      }
      clearTimeout(timer)
      const error = done.err as (Error & { code?: number }) | undefined
      if (error !== undefined && error.code !== NOT_FOUND) reject(error)
      else resolve({ entries, held, ended: left === 0 })
    }
    let stop: (error: Error) => void = () => undefined
    const timer = setTimeout(() => {
      const error = new Error('the live log did not respond')
      error.name = 'TimeoutError'
      stop(error)
      reject(error)
    }, READ_MS)
    jsm.direct
      .getBatch(LOG, {
        seq: after + 1,
        batch: BATCH,
        max_bytes: BATCH_BYTES,
        next_by_subj: `${LOG}.${userId}`,
        callback
      })
      .then(
        (iterator) => {
          stop = (error) => iterator.stop(error)
        },
        (error: unknown) => {
          clearTimeout(timer)
          reject(error)
        }
      )
  })
}
