import type { IncomingHttpHeaders } from 'node:http'
import { type IncomingHttpHeaders as Http2Headers, Http2ServerRequest, type ServerHttp2Stream } from 'node:http2'
import type { ReadableOptions } from 'node:stream'
import type { Visit } from '../door/visit.ts'
import type { BodyHold } from './body-budget.ts'
import { breakStream } from './broken-streams.ts'
import { Gather } from './gather.ts'
import { keep } from './http1-request.ts'

/** Its 'close' is the stream's, so that there is one. */
const NO_CLOSE: ReadableOptions = { emitClose: false }

/**
 * A request over HTTP/2 as a handler of HTTP/1.1 knows it, on Node's compatibility API: `headers` without pseudo-headers and with `host`,
 * and a body that ends whole or breaks with an error. (Node's own class ends a body that was cut off as if it were complete.)
 */
export class GatewayHttp2Request extends Http2ServerRequest {
  override readonly headers: IncomingHttpHeaders
  override method: string
  override url: string
  /** The whole body has come. */
  override complete = false
  /** What is wrong with it although HTTP/2 lets it pass; no handler may get it then. */
  readonly fault: string | undefined
  readonly came: readonly string[]
  /** Where its body counts while it is in memory. */
  hold: BodyHold | undefined
  /** Its body passes through, at a pace of its own: the time of whole requests does not hold. */
  passes = false
  visit: Visit | undefined
  private gather: Gather | undefined

  constructor(stream: ServerHttp2Stream, headers: Http2Headers, _options: ReadableOptions, raw: readonly string[]) {
    super(stream, headers, NO_CLOSE, raw)
    const list: IncomingHttpHeaders = {}
    for (const name in headers) if (name[0] !== ':') list[name] = headers[name] as string
    const authority = headers[':authority']
    this.fault = faultOf(headers[':method'], list.expect, authority, list.host)
    if (authority !== undefined) list.host = authority
    this.headers = list
    this.method = headers[':method'] ?? ''
    this.url = headers[':path'] ?? ''
    this.came = raw
  }

  override push(chunk: unknown, encoding?: BufferEncoding): boolean {
    // As over HTTP/1.1: dropped, and nobody is told of an end.
    if (this.hold !== undefined) {
      this.gather ??= new Gather((part) => super.push(part))
      const kept = keep(this.hold, this.gather, chunk as Buffer | null)
      if (kept === undefined) return true
      if (chunk !== null) return kept
    } else if (chunk !== null) return super.push(chunk, encoding)
    if (this.complete || this.destroyed) return false
    const { stream } = this
    if (stream.aborted || (stream.closed && stream.rstCode !== 0)) {
      // As in HTTP/1.1: whoever listens hears of it, and nobody else needs to.
      this.destroy(this.listenerCount('error') > 0 ? new ConnectionReset() : undefined)
      return false
    }
    this.complete = true
    return super.push(null)
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    if (!this.readableEnded) breakStream(this.stream)
    callback(error)
  }
}

// Made when somebody asks; Node's type says that it is a property.
Object.defineProperty(GatewayHttp2Request.prototype, 'rawHeaders', {
  get(this: GatewayHttp2Request): string[] {
    const { came, headers } = this
    const raw = headers.host === undefined ? [] : ['host', headers.host]
    for (let at = 0; at < came.length; at += 2) {
      const name = came[at]!
      if (name[0] !== ':' && name !== 'host') raw.push(name, came[at + 1]!)
    }
    return raw
  }
})

/** What Node's HTTP/1.1 says when a request is cut off. */
class ConnectionReset extends Error {
  readonly code = 'ECONNRESET'
  constructor() {
    super('aborted')
  }
}

function faultOf(
  method: string | undefined,
  expect: string | undefined,
  authority: string | undefined,
  host: string | undefined
): string | undefined {
  if (method === 'CONNECT') return 'This is no proxy.'
  if (expect !== undefined && expect.toLowerCase() !== '100-continue') return 'Only 100-continue can be expected.'
  if (authority === undefined) return undefined
  // RFC 9113 8.3.1: else the gateway and a service could see two different hosts.
  if (host !== undefined && host !== authority) return 'Host is not :authority.'
  // RFC 9113 8.3.1: no user information; and an empty one names nobody.
  if (authority === '' || authority.includes('@')) return ':authority names no host.'
  return undefined
}
