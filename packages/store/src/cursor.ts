import { SkerryError } from '@skerry/contracts'

/**
 * An opaque page cursor: the sort values of the last item, tied to the list it belongs to.
 *
 * @param list name of the list and its filter, such as `posts:author`; a cursor of another list is refused
 */
export function encodeCursor(list: string, values: readonly (string | number)[]): string {
  return Buffer.from(JSON.stringify([list, ...values])).toString('base64url')
}

/**
 * The sort values of a cursor, or undefined when there is none. Throws BAD_CURSOR for anything that this list did not give out.
 *
 * @param shape the type of each value
 */
export function decodeCursor(
  list: string,
  cursor: string | undefined,
  shape: readonly ('string' | 'number')[]
): (string | number)[] | undefined {
  if (cursor === undefined) return undefined
  const values = parse(cursor)
  const fits =
    Array.isArray(values) &&
    values.length === shape.length + 1 &&
    values[0] === list &&
    shape.every((type, i) => {
      const value: unknown = values[i + 1]
      return type === 'string' ? typeof value === 'string' && value.length <= 256 : Number.isFinite(value)
    })
  if (!fits) {
    throw new SkerryError('BAD_CURSOR', {
      errors: [
        {
          path: 'query.cursor',
          code: 'cursor',
          message: 'Use the nextCursor of the page before, with the same filter.'
        }
      ]
    })
  }
  return values.slice(1)
}

function parse(cursor: string): unknown {
  try {
    return JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8'))
  } catch {
    return undefined
  }
}

/** What the items of one page may have together, bytes of JSON: a page is read whole by phones, and waits in memory for slow ones. */
export const PAGE_BYTES = 262_144

/** How many items from the first on fit into one page; one always does. */
export function countFitting<T>(items: readonly T[], bytesOf: (item: T) => number): number {
  let bytes = 0
  let count = 0
  for (const item of items) {
    bytes += bytesOf(item)
    if (bytes > PAGE_BYTES && count > 0) break
    count++
  }
  return count
}

/**
 * Cuts a page out of `limit + 1` read items: the extra one only says that there is more.
 *
 * @param keyOf the sort values of an item, for the cursor
 * @param bytesOf about how long an item is as JSON, where items can be long: then a page of many has fewer than `limit`
 */
export function toPage<T, R>(
  list: string,
  items: readonly T[],
  limit: number,
  keyOf: (item: T) => readonly (string | number)[],
  present: (item: T) => R,
  bytesOf?: (item: T) => number
): { items: R[]; nextCursor: string | null } {
  const most = items.slice(0, limit)
  const page = bytesOf === undefined ? most : most.slice(0, countFitting(most, bytesOf))
  const last = page.at(-1)
  const more = items.length > page.length && last !== undefined
  return { items: page.map(present), nextCursor: more ? encodeCursor(list, keyOf(last)) : null }
}
