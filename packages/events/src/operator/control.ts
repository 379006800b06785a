import { setTimeout as delay } from 'node:timers/promises'
import type { ConsumerInfo, JetStreamManager } from '@nats-io/jetstream'
import { wireSubject } from '@skerry/contracts'
import { isTransient } from '@skerry/store'
import { applyOnce } from '../apply-once.ts'
import type { Replay } from '../consumer-states.ts'
import type { KeyedQueue } from '../keyed-queue.ts'
import { bucketOfKey, hasBucket } from '../partitions.ts'
import type { StretchOptions } from '../stretch-options.ts'
import { deleteLetter } from './letters.ts'
import { finishOperation, type Operation } from './operations.ts'
import { endReplay, isReplayed } from './replay.ts'
import type { RetryWork } from './retry.ts'

type Stretch = {
  jsm: JetStreamManager
  /** That of the deliveries: what an operator has retried waits its turn within its order key. */
  queue: KeyedQueue
  ends: AbortSignal
  /** What this stretch is replaying; ends with it. */
  replay: Replay | undefined
  /** A replay was asked for: the stretch is to end, and the next one begins with it. */
  restart(): void
}

/**
 * Carries out what operators have asked of a consumer on a stream, in the instance that owns the partition it concerns. It may be told of the
 * same operations at any time and as often as one likes.
 */
export function createControl(options: StretchOptions, stretch: Stretch) {
  const { store, service, consumer, partition, stream, log, places } = options
  const { jsm, queue, ends } = stretch
  const taken = new Set<string>()
  let replay = stretch.replay

  async function take(operations: readonly Operation[]): Promise<void> {
    for (const operation of operations) {
      if (ends.aborted) return
      if (operation.request.stream !== stream || taken.has(operation._id)) continue
      if (operation.kind === 'replay') {
        if (replay === undefined && !operation.parts?.includes(partition.index)) return stretch.restart()
      } else if (operation.kind === 'retry' || operation.kind === 'discard') {
        const work = operation.request as unknown as RetryWork
        const key = work.envelope?.orderKey ?? work.envelope?.entity ?? operation.target
        if (!isHere(key)) continue
        taken.add(operation._id)
        await queue.add(key, () => places.use(() => carryOut(operation, work)), ends)
      }
    }
  }

  /** Whether this is the partition that a key is in; what is no key has one as well. */
  function isHere(key: string): boolean {
    return hasBucket(partition, bucketOfKey(key))
  }

  /** What fails for want of a store stays pending and is taken in by a later look. */
  async function carryOut(operation: Operation, work: RetryWork): Promise<void> {
    if (ends.aborted) return
    try {
      const outcome = operation.kind === 'discard' ? 'discarded' : await retry(work)
      await deleteLetter(jsm, service, work.letter)
      await finishOperation(store, operation._id, { state: 'done', outcome })
    } catch (error) {
      if (ends.aborted) return
      if (error instanceof RetryFailed) {
        await finishOperation(store, operation._id, { state: 'failed', outcome: error.message }).catch(later)
      } else later(error)
    } finally {
      taken.delete(operation._id)
    }
  }

  function later(error: unknown): void {
    log.warn({ err: error, consumer }, 'failed to run an operator command, retrying')
  }

  async function retry({ envelope: recorded, data, inboxKey }: RetryWork): Promise<string> {
    const subscription = options.subscriptions.find((s) => wireSubject(s.event) === recorded?.subject)
    if (subscription === undefined || recorded === undefined)
      throw new RetryFailed('nothing handles this event any more')
    const envelope = { ...recorded, orderKey: recorded.orderKey ?? recorded.entity }
    const incoming = { ...envelope, data: JSON.parse(data) as never }
    for (let attempt = 1; ; attempt++) {
      ends.throwIfAborted()
      try {
        const outcome = await applyOnce(options, {
          subscription,
          envelope,
          incoming,
          key: inboxKey,
          bytes: data.length
        })
        return outcome === 'applied' ? 'applied' : 'had been applied before'
      } catch (error) {
        if (!isTransient(error)) throw new RetryFailed(`${(error as Error).name}: ${(error as Error).message}`)
        await delay(Math.min(5_000, 100 * 2 ** attempt), undefined, { signal: ends })
      }
    }
  }

  return {
    /** Takes in what of these is this partition's to do, and not under way. */
    take,
    /** Ends the replay once all of its range is acknowledged. */
    async progress(info: ConsumerInfo): Promise<void> {
      if (replay === undefined || !isReplayed(replay, info)) return
      try {
        const outcome = `replayed ${replay.from} to ${replay.until}`
        await endReplay({ store, consumer, partition }, stream, replay, { state: 'done', outcome })
        replay = undefined
      } catch (error) {
        later(error)
      }
    }
  }
}

/** The handler did not take it: the letter stays. */
class RetryFailed extends Error {}
