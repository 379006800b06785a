import { etagFor } from './etags.ts'
import type { Coding } from './negotiate.ts'

/** `Vary` with `Accept-Encoding` in it, whatever it said before. */
export function varyByCoding(vary: string | undefined): string {
  if (vary === undefined || vary.trim() === '') return 'accept-encoding'
  const named = vary.split(',').some((name) => {
    const field = name.trim()
    return field === '*' || field.toLowerCase() === 'accept-encoding'
  })
  return named ? vary : `${vary}, accept-encoding`
}

/**
 * Changes the head of an answer (name, value, name, value; names in lower case) to that of its body in a coding of `length` bytes, or of
 * a length not known yet: `Content-Encoding`, `Content-Length`, the ETag, `Vary`, and no `Accept-Ranges`.
 */
export function describeCoding(head: string[], coding: Coding, length: number | undefined): void {
  let to = 0
  for (let from = 0; from < head.length; from += 2) {
    const name = head[from]!
    if (name === 'content-length' || name === 'accept-ranges') continue
    head[to] = name
    head[to + 1] = name === 'etag' ? etagFor(head[from + 1]!, coding) : head[from + 1]!
    to += 2
  }
  head.length = to
  head.push('content-encoding', coding)
  if (length !== undefined) head.push('content-length', String(length))
  describeVariants(head)
}

/** Says that an answer, sent as it is, would have been encoded for another client. */
export function describeVariants(head: string[]): void {
  // Several lines are one list; the last one is made longer.
  let last = -1
  for (let at = 0; at < head.length; at += 2) {
    if (head[at] !== 'vary') continue
    if (varyByCoding(head[at + 1]) === head[at + 1]) return
    last = at
  }
  if (last === -1) head.push('vary', 'accept-encoding')
  else head[last + 1] = varyByCoding(head[last + 1])
}
