import type { StreamConfig } from '@nats-io/jetstream'
import { BUCKETS, bucketFromText, bucketOf, isId } from '@skerry/store'

/** In the configuration of a stream: into how many partitions it was made. A stream of a release before partitions lacks it. */
export const PARTITIONS = 'skerry-partitions'
/** How many a stream is made with, unless its service says so. NATS grants durables by exact names, so there are no more. */
export const MOST_PARTITIONS = 8

/** One of a stream's partitions. */
export type Partition = {
  readonly index: number
  /** How many there are. */
  readonly of: number
  /** What ends its subjects, with its dot; nothing on a stream of a release before partitions. */
  readonly token: string
}

/** The partitions of a stream. */
export function partitionsOf({ metadata }: Pick<StreamConfig, 'metadata'>): readonly Partition[] {
  const of = Number(metadata?.[PARTITIONS] ?? 0)
  if (!Number.isInteger(of) || of < 0 || of > MOST_PARTITIONS)
    throw new Error(`a stream with ${metadata?.[PARTITIONS]} partitions: this release knows up to ${MOST_PARTITIONS}`)
  if (of === 0) return [{ index: 0, of: 1, token: '' }]
  return Array.from({ length: of }, (_, index) => ({ index, of, token: `.${index}` }))
}

/** Which partition has a bucket. */
export function partitionOfBucket(partitions: readonly Partition[], bucket: number): Partition {
  return partitions[indexOf(bucket, partitions.length)]!
}

/** Whether a partition has a bucket. */
export function hasBucket({ index, of }: Partition, bucket: number): boolean {
  return indexOf(bucket, of) === index
}

function indexOf(bucket: number, of: number): number {
  return Math.floor((bucket * of) / BUCKETS)
}

/** The buckets that a partition has, from the first to the last one. */
export function bucketsOf({ index, of }: Partition): { first: number; last: number } {
  return { first: Math.ceil((index * BUCKETS) / of), last: Math.ceil(((index + 1) * BUCKETS) / of) - 1 }
}

/** The bucket of a key: that of the id it is, or begins with; any other text has one as well. */
export function bucketOfKey(key: string): number {
  const start = key.slice(0, 26)
  return isId(start) ? bucketOf(start) : bucketFromText(key)
}

/** What differs for one of several partitions: the durable on the server is named `<consumer>--p<index>`. */
export function durableOf(consumer: string, { index, of }: Partition): string {
  return of === 1 ? consumer : `${consumer}--p${index}`
}

/** The consumer of a durable, and which partition it has of several. */
export function consumerOfDurable(durable: string): { consumer: string; partition: number | undefined } {
  const [, consumer, index] = /^(.+)--p(\d+)$/.exec(durable) ?? []
  return consumer === undefined ? { consumer: durable, partition: undefined } : { consumer, partition: Number(index) }
}

/** The role of consuming a partition. */
export function roleOf(stream: string, consumer: string, { index, of }: Partition): string {
  return of === 1 ? `consumer:${stream}:${consumer}` : `consumer:${stream}:${consumer}:${index}`
}

/** The role of publishing to a partition. That of looking after the stream is without a number. */
export function relayRoleOf(service: string, { index }: Partition): string {
  return `relay:${service}:${index}`
}

/** An event's type (`content.post.created.v1`) from the subject it was published to. */
export function typeOf(subject: string): string {
  return /^[^.]+\.[^.]+\.[^.]+\.v\d+(?=\.\d+$)/.exec(subject)?.[0] ?? subject
}
