import { Kvm, type KvWatchEntry } from '@nats-io/kv'
import type { BucketName } from './buckets.ts'
import type { Logger } from './log.ts'
import { jetstreamOf, type NatsConnection, onReconnect } from './nats.ts'

export type WatchOptions = {
  bucket: BucketName
  /** A snapshot of all keys begins: once at the start and again after every reconnect. */
  onBegin(): void
  onEntry(entry: KvWatchEntry): void
  /** All keys of the snapshot have been seen. */
  onComplete(): void
  /** It hears nothing any more, until the next snapshot begins. */
  onEnd?(): void
  /** Watch afresh when nothing came for so long (milliseconds), for buckets where something always comes. */
  silenceMs?: number
  log?: Logger | undefined
}

const RETRY_MS = 200

/**
 * Watches a bucket for as long as the connection lives. The client's own watcher goes on after a reconnect from the sequence it had seen,
 * and is deaf where the bucket was lost and made again; this one reads all keys again. Resolves with the first snapshot, or after
 * `firstMs` (5 s) without one: it keeps trying.
 */
export async function watchBucket(
  nc: NatsConnection,
  options: WatchOptions,
  firstMs = 5_000
): Promise<{ close(): Promise<void> }> {
  let closed = false
  let stop: () => void = () => undefined
  let wake: () => void = () => undefined
  const { promise: first, resolve: sawFirst } = Promise.withResolvers<void>()
  const stopListening = onReconnect(nc, () => stop())

  const watchOnce = async () => {
    const kv = await new Kvm(jetstreamOf(nc)).open(options.bucket)
    const { values } = await kv.status()
    const watch = await kv.watch()
    let complete = false
    const done = () => {
      if (complete) return
      complete = true
      options.onComplete()
      sawFirst()
    }
    stop = () => watch.stop()
    if (closed) watch.stop()
    options.onBegin()
    if (values === 0) done()
    // The keys that were counted may all have expired since.
    const late = setTimeout(done, 2_000)
    let silence: NodeJS.Timeout | undefined
    if (options.silenceMs !== undefined) silence = setTimeout(() => watch.stop(), options.silenceMs)
    try {
      for await (const entry of watch) {
        silence?.refresh()
        options.onEntry(entry)
        if (entry.delta === 0) done()
      }
    } finally {
      clearTimeout(late)
      clearTimeout(silence)
      options.onEnd?.()
    }
  }

  const run = async () => {
    while (!closed && !nc.isClosed()) {
      try {
        await watchOnce()
      } catch (error) {
        options.log?.debug({ err: error, bucket: options.bucket }, 'failed to watch the KV bucket, retrying')
      }
      if (closed) break
      await new Promise<void>((resolve) => {
        wake = resolve
        setTimeout(resolve, RETRY_MS).unref()
      })
    }
  }
  const running = run()
  const timer = setTimeout(sawFirst, firstMs)
  await first
  clearTimeout(timer)
  return {
    async close() {
      closed = true
      stopListening()
      stop()
      wake()
      await running
    }
  }
}
