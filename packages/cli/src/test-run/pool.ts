/**
 * Runs work for each item in the given order, so many at once, until all have ended or the signal comes: then no more are begun.
 *
 * @returns what the work returned, in the order in which it ended
 */
export async function runPool<Item, Result>(
  items: readonly Item[],
  jobs: number,
  signal: AbortSignal,
  work: (item: Item) => Promise<Result>
): Promise<Result[]> {
  const results: Result[] = []
  const waiting = [...items]
  async function next(): Promise<void> {
    for (let item = waiting.shift(); item !== undefined && !signal.aborted; item = waiting.shift())
      results.push(await work(item))
  }
  await Promise.all(Array.from({ length: Math.max(1, jobs) }, next))
  return results
}
