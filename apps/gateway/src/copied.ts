/**
 * A copy of a text, written out by itself: a part of a string keeps the whole of it in memory, such as the text of a head and what came behind it, and
 * what was put together in pieces is joined anew for each use.
 */
export function copied(text: string, encoding: 'latin1' | 'utf8' = 'latin1'): string {
  return Buffer.from(text, encoding).toString(encoding)
}
