import { jetstreamManager } from '@nats-io/jetstream'
import { createBatches } from './batches.ts'
import { runByPartition } from './by-partition.ts'
import type { ConsumingOptions } from './consuming-options.ts'
import { type Owned, runOwned } from './owner.ts'
import { type Partition, roleOf } from './partitions.ts'
import { createPlaces } from './places.ts'
import { consumePartition } from './stream-consumer.ts'
import { createStretches } from './stretches.ts'

type Options = ConsumingOptions & {
  instance: string
  leaseMs?: number
  /** Calls a listener when operators have asked for something; returns what ends that. */
  onLook(listener: () => void): () => void
}

/**
 * Consumes a stream in as many roles as it has partitions, which the instances of the service share. How many that is the stream says, so it is
 * waited for; one that is made anew with other partitions is shared anew.
 */
export function consumePartitions(options: Options): Owned {
  const { nc, stream, consumer, log } = options
  const places = createPlaces(options.concurrency)
  const batches = createBatches(options)
  const manager = () => jetstreamManager(nc, { checkAPI: false, timeout: 3_000 })
  const stretches = createStretches({ ...options, manager })
  const stopLooking = options.onLook(stretches.wake)

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

  const owned = runByPartition({ manager, stream, log, work: consumer, start: share })
  return {
    attached: owned.attached,
    owner: owned.owner,
    async stop() {
      stopLooking()
      await owned.stop()
      stretches.stop()
    }
  }
}
