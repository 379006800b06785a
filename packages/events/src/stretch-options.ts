import type { Batches } from './batches.ts'
import type { ConsumingOptions } from './consuming-options.ts'
import type { Partition } from './partitions.ts'
import type { Places } from './places.ts'
import type { Stretches } from './stretches.ts'

/** One stretch of consuming a partition. */
export type StretchOptions = ConsumingOptions & {
  partition: Partition
  signal: AbortSignal
  working(): void
  /** What bounds the transactions at once, in all partitions of this instance. */
  places: Places
  /** What applies events together with others, of any partition, where several wait. */
  batches: Batches
  stretches: Stretches
  /** The stream has other partitions than this one is of. */
  repartitioned(): void
}
