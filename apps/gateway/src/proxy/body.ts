import type { IncomingMessage } from 'node:http'
import { SkerryError } from '@skerry/contracts'

/**
 * Reads a request's body whole, up to `limit` bytes, also when it comes in chunks: it can then be sent a second time, and a slow client
 * holds no connection to a service. `done` gets null where there is none. A body that is too large or breaks off is an error; what more
 * of it comes is not kept.
 */
export function readBody(
  request: IncomingMessage,
  limit: number,
  done: (error: Error | undefined, body: Buffer | null) => void
): void {
  if (!mayHaveBody(request)) {
    done(undefined, null)
    return
  }
  const { headers } = request
  const told = headers['content-length']
  if (told !== undefined && Number(told) > limit) {
    done(new SkerryError('BODY_TOO_LARGE'), null)
    return
  }
  const parts: Buffer[] = []
  let size = 0
  let over = false
  const end = (error: Error | undefined, body: Buffer | null) => {
    if (over) return
    over = true
    done(error, body)
  }
  request.on('data', (part: Buffer) => {
    if (over) return
    size += part.length
    if (size > limit) {
      parts.length = 0
      end(new SkerryError('BODY_TOO_LARGE'), null)
    } else parts.push(part)
  })
  request.on('end', () => {
    // HTTP/2 says only at the end that there is none.
    if (size === 0 && told === undefined && headers['transfer-encoding'] === undefined) end(undefined, null)
    else end(undefined, parts.length === 1 ? parts[0]! : Buffer.concat(parts, size))
  })
  request.on('close', () => end(new BodyBrokenOffError(), null))
}

/** Whether a body comes with a request, as far as its head tells. Where none does, Node gives no `end` to wait for (`optimizeEmptyRequests`). */
export function mayHaveBody({ headers, httpVersionMajor }: IncomingMessage): boolean {
  return headers['content-length'] !== undefined || headers['transfer-encoding'] !== undefined || httpVersionMajor >= 2
}

/** The client went away in the middle of its request: there is nobody to answer. */
export class BodyBrokenOffError extends Error {
  constructor() {
    super('the client went away in the middle of its request')
    this.name = 'BodyBrokenOffError'
  }
}
