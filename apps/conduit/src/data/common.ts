import { bucketOf, isDuplicate } from '@skerry/store'

/** The buckets of ids, or of texts that begin with one, each once. */
export function bucketsOf(ids: readonly string[]): number[] {
  return [...new Set(ids.map(bucketOf))]
}

/** A pipeline's value as it is, whatever it begins with. */
export function literal<T>(value: T): { $literal: T } {
  return { $literal: value }
}

const ATTEMPTS = 5

/**
 * Work that makes a document if it is not there. An answer of the API and its own event come at the same moment and both may find none: who
 * is second tries again, and finds it.
 */
export async function despiteOthers<T>(work: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await work()
    } catch (error) {
      if (!isDuplicate(error) || attempt === ATTEMPTS) throw error
    }
  }
}
