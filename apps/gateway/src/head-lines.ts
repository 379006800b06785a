/** The part of a head that is the same for many messages, as text that was looked at once; it says nothing of connections. */
export type HeadPart = { readonly pairs: readonly string[]; readonly text: string; readonly sized: boolean }

/** Characters that latin1 does not have would be cut to a byte of theirs, which may be a line end. */
const BEYOND_LATIN1 = /[\u0100-\uffff]/

/**
 * Whether the text of a head is so many lines, each ended by CRLF, whatever came in its values: a value with a line end would make more of
 * them, and one message into two.
 */
export function hasLines(text: string, lines: number): boolean {
  let count = 0
  for (let at = text.indexOf('\n'); at !== -1; at = text.indexOf('\n', at + 1)) {
    if (text.charCodeAt(at - 1) !== 13) return false
    count++
  }
  return count === lines && !BEYOND_LATIN1.test(text)
}
