import { type IncomingMessage, type OutgoingHttpHeaders, ServerResponse } from 'node:http'
import type { HeadPart } from '../head-lines.ts'
import { headText, NOTHING } from './head-text.ts'

/** What of Node's response its types do not name: the head that waits for the first part of the body, and what the head says of the connection. */
type Inside = {
  _header: string | null
  _headerSent: boolean
  _keepAliveTimeout: number
  _expect_continue: boolean
  _sent100: boolean
  _implicitHeader(): void
  _send(data: string, encoding: BufferEncoding): boolean
}

/** An answer that writes its own head of `pairs` (name, value, name, value; names in lower case). */
export type PairsWriter = {
  /** @param common comes before them */
  writePairs(status: number, pairs: readonly string[], common: HeadPart): void
}

/** An answer that writes head, body and end at once. */
export type WholeWriter = {
  /** The body's memory is the caller's again when this returns. */
  endWhole(body: Uint8Array): void
}

/**
 * An answer over HTTP/1.1. `writePairs` is Node's `writeHead` for headers whose names are proper already, byte for byte as Node would write them
 * (`head-text.ts`). Whatever is not the ordinary case is Node's to write: no length, no body, a connection that ends with this answer.
 */
export class GatewayResponse extends ServerResponse<IncomingMessage> implements PairsWriter {
  writePairs(status: number, pairs: readonly string[], common: HeadPart): void {
    const inside = this as unknown as Inside
    const head = this.isOrdinary(status, inside)
      ? headText(status, common, pairs, inside._keepAliveTimeout, true)
      : undefined
    if (head === undefined || head.closes || !head.sized) {
      this.writeHead(status, joined(common, pairs))
      return
    }
    this.statusCode = status
    inside._header = head.text
    inside._headerSent = false
  }

  /** Node would write it as UTF-8, and what a service says in latin1 would be other bytes. */
  override flushHeaders(): void {
    const inside = this as unknown as Inside
    if (inside._header === null) inside._implicitHeader()
    inside._send('', 'latin1')
  }

  private isOrdinary(status: number, { _header, _expect_continue, _sent100 }: Inside): boolean {
    return (
      _header === null &&
      this.getHeaderNames().length === 0 &&
      this.shouldKeepAlive &&
      status >= 200 &&
      status !== 204 &&
      status !== 304 &&
      this.req.httpVersionMinor === 1 &&
      (!_expect_continue || _sent100)
    )
  }
}

/** Writes the head of an answer, over whichever protocol, as `GatewayResponse.writePairs` does. */
export function writePairs(
  response: ServerResponse,
  status: number,
  pairs: readonly string[],
  common: HeadPart = NOTHING
): void {
  const writer = response as ServerResponse & Partial<PairsWriter>
  if (writer.writePairs !== undefined) writer.writePairs(status, pairs, common)
  else response.writeHead(status, joined(common, pairs))
}

/** Ends an answer with a short body, the only part of it, whose memory is the caller's again when this returns. */
export function endWhole(response: ServerResponse, body: Buffer): void {
  const writer = response as ServerResponse & Partial<WholeWriter>
  if (writer.endWhole !== undefined) writer.endWhole(body)
  // As a string, because Node joins a string to the head and sends a buffer beside it.
  else response.end(body.toString('latin1'), 'latin1')
}

/** Lets the head of an answer say how long its connection is kept, where Node does not keep it by a timer of its own. */
export function tellKeepAlive(response: ServerResponse, ms: number): void {
  ;(response as unknown as Inside)._keepAliveTimeout = ms
}

/** As Node takes them; its type does not know of lists. */
function joined(common: HeadPart, pairs: readonly string[]): OutgoingHttpHeaders {
  return (common === NOTHING ? pairs : [...common.pairs, ...pairs]) as unknown as OutgoingHttpHeaders
}
