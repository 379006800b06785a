import type { IncomingMessage } from 'node:http'
import { constants } from 'node:http2'
import type { GatewayHttp2Request } from '../listen/http2-request.ts'

/**
 * RFC 9113 8.1: the answer is whole, and the rest of the request is not wanted. Node does so by itself only where nobody has read of it: else the
 * stream, and with it its connection, would stay for as long as the client says nothing.
 */
export function endStream(req: IncomingMessage): void {
  streamOf(req)?.close(constants.NGHTTP2_NO_ERROR)
}

/**
 * The same as soon as the answer that is under way has been given. A request without a body has ended by itself, and one over HTTP/1.1 has no
 * stream, whatever version it says.
 */
export function endStreamWhenAnswered(req: IncomingMessage): void {
  const stream = streamOf(req)
  if (stream?.endAfterHeaders === false) stream.once('finish', () => endStream(req))
}

function streamOf(req: IncomingMessage): GatewayHttp2Request['stream'] | undefined {
  return (req as unknown as Partial<GatewayHttp2Request>).stream
}
