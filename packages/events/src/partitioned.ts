import { setTimeout as delay } from 'node:timers/promises'
import { type JetStreamManager, jetstreamManager } from '@nats-io/jetstream'
import { createBatches } from './batches.ts'
import type { ConsumingOptions } from './consuming-options.ts'
import { type Owned, runOwned } from './owner.ts'
import { type Partition, partitionsOf, roleOf } from './partitions.ts'
import { createPlaces } from './places.ts'
import { consumePartition } from './stream-consumer.ts'
import { isStreamNotFound } from './streams.ts'
import { createStretches } from './stretches.ts'

type Options = ConsumingOptions & {
  instance: string
  leaseMs?: number
  /** Calls a listener when operators have asked for something; returns what ends that. */
  onLook(listener: () => void): () => void
}

/** How often a stream that is not there is looked for: soon at first, since services start together. */
const SOON_MS = 50
const LATER_MS = 500

/**
 * Consumes a stream in as many roles as it has partitions, which the instances of the service share. How many that is the stream says, so it is
 * waited for; one that is made anew with other partitions is shared anew.
 */
export function consumePartitions(options: Options): Owned {
  const { nc, stream, consumer, log } = options
  const stopping = new AbortController()
  const places = createPlaces(options.concurrency)
  const batches = createBatches(options)
  const manager = () => jetstreamManager(nc, { checkAPI: false, timeout: 3_000 })
  const stretches = createStretches({ ...options, manager })
  const stopLooking = options.onLook(stretches.wake)
  let parts: readonly Owned[] | undefined

  function share(partition: Partition, repartitioned: () => void): Owned {
    const { index, of } = partition
    return runOwned({
      ...{ store: options.store, instance: options.instance, log },
      name: roleOf(stream, consumer, partition),
      ...(of === 1 ? {} : { share: { what: `${stream}:${consumer}`, part: index, of } }),
      ...(options.leaseMs === undefined ? {} : { leaseMs: options.leaseMs }),
      work: (signal, working) =>
        consumePartition({ ...options, partition, signal, working, places, batches, stretches, repartitioned })
    })
  }

  async function run(): Promise<void> {
    while (!stopping.signal.aborted) {
      const another = new AbortController()
      try {
        const partitions = await partitionsWhenThere(await manager(), options, stopping.signal)
        parts = partitions.map((partition) => share(partition, () => another.abort()))
        await aborted(AbortSignal.any([another.signal, stopping.signal]))
      } catch (error) {
        if (stopping.signal.aborted) break
        log.warn({ err: error, consumer, stream }, 'failed to look for the partitions of a stream, retrying')
        await delay(LATER_MS, undefined, { signal: stopping.signal }).catch(() => 'stopping')
      } finally {
        await Promise.all((parts ?? []).map((part) => part.stop()))
        parts = undefined
      }
    }
  }
  const done = run()

  return {
    attached: () => parts?.every((part) => part.attached()) ?? false,
    owner: () => parts?.every((part) => part.owner()) ?? false,
    async stop() {
      stopLooking()
      stopping.abort(new Error('stopping'))
      await done
      stretches.stop()
    }
  }
}

/** Another service may start later than this one: its stream is waited for. */
async function partitionsWhenThere(
  jsm: JetStreamManager,
  { stream, consumer, log }: Options,
  signal: AbortSignal
): Promise<readonly Partition[]> {
  for (let waited = 0; ; waited++) {
    signal.throwIfAborted()
    try {
      return partitionsOf((await jsm.streams.info(stream)).config)
    } catch (error) {
      if (!isStreamNotFound(error)) throw error
      if (waited === 40) log.warn({ stream, consumer }, 'the stream does not exist yet')
      await delay(waited < 40 ? SOON_MS : LATER_MS, undefined, { signal })
    }
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
