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

/**
 * Cuts a page out of `limit + 1` read items: the extra one only says that there is more.
 *
 * @param keyOf the sort values of an item, for the cursor
 */
export function toPage<T, R>(
  list: string,
  items: readonly T[],
  limit: number,
  keyOf: (item: T) => readonly (string | number)[],
  present: (item: T) => R
): { items: R[]; nextCursor: string | null } {
  const page = items.slice(0, limit)
  const last = page.at(-1)
  const more = items.length > limit && last !== undefined
  return { items: page.map(present), nextCursor: more ? encodeCursor(list, keyOf(last)) : null }
}
