import { bucketOf } from '@skerry/store'

/** The buckets of ids, or of texts that begin with one, each once. */
export function bucketsOf(ids: readonly string[]): number[] {
  return [...new Set(ids.map(bucketOf))]
}

/** A pipeline's value as it is, whatever it begins with. */
export function literal<T>(value: T): { $literal: T } {
  return { $literal: value }
}
