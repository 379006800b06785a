import type { IncomingMessage, ServerResponse } from 'node:http'

/** Whether a client waits for a word before it sends its body (`Expect: 100-continue`, which HTTP/1.0 does not have). */
export function awaitsWord({ headers, httpVersionMajor, httpVersionMinor }: IncomingMessage): boolean {
  return headers.expect !== undefined && (httpVersionMajor > 1 || httpVersionMinor > 0)
}

/** Tells a client that waits for it to send its body. What was refused before is never told so. */
export function tellToGoOn(request: IncomingMessage, response: ServerResponse): void {
  if (awaitsWord(request) && !response.headersSent && !response.destroyed) response.writeContinue()
}
