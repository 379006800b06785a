import { bucketOf } from '@skerry/store'

/** The buckets of ids, or of texts that begin with one, each once. */
export function bucketsOf(ids: readonly string[]): number[] {
  return [...new Set(ids.map(bucketOf))]
}

/** What the driver wrote is UTF-8: checking it again at each read would cost as much as decoding it. */
export const AS_STORED = { enableUtf8Validation: false } as const
