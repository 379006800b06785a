import type { ServerHttp2Stream } from 'node:http2'

const broken = new WeakSet<ServerHttp2Stream>()

/** Resets a stream that is still open, at once, so that its client knows that the answer is not complete. */
export function breakStream(stream: ServerHttp2Stream): void {
  if (stream.closed || stream.destroyed) return
  broken.add(stream)
  // Without an error Node would send NO_ERROR, which a client may take for an orderly end.
  stream.destroy(new Error('the answer broke off'))
}

/** Whether this stream's reset was the gateway's doing and not its client's. */
export function brokenByUs(stream: ServerHttp2Stream): boolean {
  return broken.has(stream)
}
