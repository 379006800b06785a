import { hash } from 'node:crypto'
import { request } from 'undici'

/**
 * Fetches the text of a service's document (`/openapi.json`) from an operations port. Rejects when it is not there before `signal` says so,
 * is larger than `maxBytes`, or is not what was announced (`contract`, its SHA-256).
 */
export async function fetchDocument(
  ops: string,
  path: string,
  contract: string,
  options: { signal: AbortSignal; maxBytes: number }
): Promise<string> {
  const { signal, maxBytes } = options
  // Once for each release of a service: no connection is kept for the next.
  const answer = await request(`${ops.replace(/\/$/, '')}${path}`, {
    signal,
    reset: true,
    headers: { accept: 'application/json' }
  })
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of answer.body as AsyncIterable<Buffer>) {
    bytes += chunk.length
    // Leaving the loop destroys the rest.
    if (bytes > maxBytes) throw new Error(`it is larger than ${maxBytes} bytes`)
    chunks.push(chunk)
  }
  if (answer.statusCode !== 200) throw new Error(`it was answered with ${answer.statusCode}`)
  const body = Buffer.concat(chunks, bytes)
  if (hash('sha256', body, 'hex') !== contract) throw new Error('it is not the one that was announced')
  return body.toString()
}
