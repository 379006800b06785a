import { once } from 'node:events'
import { connect, type Socket } from 'node:net'

const ANSWER_MS = 20_000
const OPENED_AT_ONCE = 100

/**
 * Opens `count` connections to a gateway, then asks on all of them for the same thing that is not in its cache yet.
 *
 * @param slow base URL of the service behind, which counts (peers/slow-upstream.ts)
 * @returns how often the service was asked. Throws one line when an answer is not 200 or does not come within 20 s
 */
export async function countMisses(gateway: string, path: string, slow: string, count: number): Promise<number> {
  const { hostname, port } = new URL(gateway)
  const sockets: Socket[] = []
  try {
    // A few at a time, so that no queue of new connections overflows.
    while (sockets.length < count) {
      const opened = Array.from({ length: Math.min(OPENED_AT_ONCE, count - sockets.length) }, () =>
        connect(Number(port), hostname)
      )
      sockets.push(...opened)
      await Promise.all(opened.map((socket) => once(socket, 'connect')))
    }
    const before = await asked(slow)
    const answers = sockets.map(firstLine)
    for (const socket of sockets) socket.write(`GET ${path} HTTP/1.1\r\nHost: bench\r\n\r\n`)
    const statuses = await Promise.all(answers)
    const bad = statuses.filter((line) => !line.startsWith('HTTP/1.1 200 '))
    if (bad.length > 0) throw new Error(`${bad.length} of ${count} were not answered 200: ${bad[0]}`)
    return (await asked(slow)) - before
  } finally {
    for (const socket of sockets) socket.destroy()
  }
}

async function firstLine(socket: Socket): Promise<string> {
  let text = ''
  const signal = AbortSignal.timeout(ANSWER_MS)
  while (!text.includes('\r\n')) text += (await once(socket, 'data', { signal }))[0]
  return text.slice(0, text.indexOf('\r\n'))
}

async function asked(slow: string): Promise<number> {
  const response = await fetch(`${slow}/count`)
  return ((await response.json()) as { count: number }).count
}
