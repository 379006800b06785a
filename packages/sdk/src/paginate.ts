/**
 * Walks a list to its end, one page in memory at a time.
 * @param page fetches the page of a cursor; the first call gets undefined
 */
export async function* paginate<T>(
  page: (cursor: string | undefined) => Promise<{ items: T[]; nextCursor: string | null }>
): AsyncGenerator<T, void, undefined> {
  let cursor: string | undefined
  while (true) {
    const { items, nextCursor } = await page(cursor)
    yield* items
    if (nextCursor === null) return
    if (nextCursor === cursor) throw new Error('the list answered the same cursor twice')
    cursor = nextCursor
  }
}
