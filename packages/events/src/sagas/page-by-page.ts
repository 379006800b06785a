/**
 * Everything of a list that is read in pages, for exports.
 *
 * @param find reads what comes behind a cursor, at most `limit` items; from the beginning without one
 * @param cursorOf where a page begins that comes behind an item
 */
export async function* pageByPage<T, C>(
  find: (cursor: C | undefined, limit: number) => Promise<readonly T[]>,
  cursorOf: (item: T) => C,
  limit: number
): AsyncGenerator<T> {
  for (let cursor: C | undefined; ; ) {
    const page = await find(cursor, limit)
    yield* page
    if (page.length < limit) return
    cursor = cursorOf(page.at(-1) as T)
  }
}
