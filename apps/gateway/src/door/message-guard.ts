import { IncomingMessage } from 'node:http'
import { SkerryError } from '@skerry/contracts'
import type { Incoming } from './visit.ts'

/**
 * Refuses what Node's HTTP/1 parser lets through although another server could read it in another way: versions that are none of HTTP/1,
 * no host or two, codings other than chunked, a coding of an HTTP/1.0 sender, who knows none (RFC 9112, 3.2 and 6.1), expectations that
 * nobody meets. The connection then closes, since what comes next on it is in doubt as well. Two lengths, folded lines and bare line ends the parser refuses itself; HTTP/2 delimits
 * messages in another way.
 */
export function guardMessage(raw: Incoming): void {
  const { headers } = raw
  const coding = headers['transfer-encoding']
  if (raw.httpVersionMajor !== 1) {
    // In the words of an HTTP/1 request it is only a claim.
    if (raw instanceof IncomingMessage) throw doubtful('This is not HTTP/1.')
  } else {
    const hosts = hostsOf(raw.rawHeaders)
    if (hosts > 1) throw doubtful('There can only be one Host.')
    // Senders of HTTP/1.0 need not know of it.
    if (hosts === 0 && raw.httpVersionMinor > 0) throw doubtful('There must be a Host.')
    if (coding !== undefined && (raw.httpVersionMinor === 0 || coding.toLowerCase() !== 'chunked'))
      throw doubtful('Transfer-Encoding can only be chunked.')
    if (headers.expect !== undefined && headers.expect.toLowerCase() !== '100-continue')
      throw doubtful('Only 100-continue can be expected.')
  }
}

/** Whether there is a body where HTTP gives it no meaning. It ends where it says, so that the connection may go on. */
export function hasBodyWithoutMeaning({ method, headers }: Incoming): boolean {
  if (method !== 'GET' && method !== 'HEAD') return false
  const length = headers['content-length']
  return headers['transfer-encoding'] !== undefined || (length !== undefined && length !== '0')
}

/** Refuses such a body; where only other methods are taken, `allowed` says so instead. */
export function bodyRefusal(method: string | undefined, allowed: readonly string[] = []): SkerryError {
  if (allowed.length > 0) return new SkerryError('METHOD_NOT_ALLOWED', { headers: { allow: allowed.join(', ') } })
  return new SkerryError('BAD_REQUEST', { detail: `A ${method} request has no body.` })
}

/** How many lines say a host: Node keeps the first and drops the others, so that `headers` does not tell. */
function hostsOf(rawHeaders: readonly string[]): number {
  let hosts = 0
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]!
    if (name.length === 4 && name.toLowerCase() === 'host') hosts++
  }
  return hosts
}

function doubtful(detail: string): SkerryError {
  return new SkerryError('BAD_REQUEST', { detail, headers: { connection: 'close' } })
}
