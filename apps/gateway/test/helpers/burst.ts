import { connect } from 'node:net'

/** Kinds of requests in turn, some of whose clients do not wait for their answer. */
const KINDS = [
  'GET',
  'POST',
  'chunked POST',
  'POST, gone in its body',
  'GET, gone at once',
  'POST, gone at once'
] as const
const BODY = 'x'.repeat(100_000)
const AT_ONCE = 200
/** A server that neither answers nor closes within this is not waited for. */
const LONGEST_MS = 120_000

/**
 * Sends many requests of each kind, on a connection each, a bounded number at a time.
 *
 * @returns how many were answered, by status; 0 stands for those that were not
 */
export async function burst(port: number, path: string, count: number): Promise<Map<number, number>> {
  const statuses = new Map<number, number>()
  let next = 0
  const worker = async () => {
    while (next < count) {
      const status = await send(port, path, KINDS[next++ % KINDS.length]!)
      statuses.set(status, (statuses.get(status) ?? 0) + 1)
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, worker))
  return statuses
}

function send(port: number, path: string, kind: (typeof KINDS)[number]): Promise<number> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    let text = ''
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1')
    })
    // A server that was killed by an earlier request refuses the later ones.
    socket.on('error', () => socket.destroy())
    socket.setTimeout(LONGEST_MS, () => socket.destroy())
    socket.once('close', () => resolve(Number(text.slice(9, 12))))
    const bytes = written(path, kind)
    if (kind === 'POST, gone in its body') socket.write(bytes.slice(0, bytes.length / 2), () => socket.destroy())
    else socket.write(bytes, () => kind.endsWith('gone at once') && socket.destroy())
  })
}

function written(path: string, kind: string): string {
  const method = kind.includes('POST') ? 'POST' : 'GET'
  const head = `${method} ${path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n`
  if (method === 'GET') return `${head}\r\n`
  if (kind !== 'chunked POST') return `${head}content-length: ${BODY.length}\r\n\r\n${BODY}`
  return `${head}transfer-encoding: chunked\r\n\r\n${BODY.length.toString(16)}\r\n${BODY}\r\n0\r\n\r\n`
}
