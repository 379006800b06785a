import { randomInt } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:net'

const LOWEST = 12_000

/**
 * A port that nobody listens on now. It lies below those that the system gives to outgoing connections where it can: a client that keeps
 * trying to reach a store that is down may otherwise be given that store's port as its own, and the store could not come back.
 */
export async function freePort(): Promise<number> {
  const range = await readFile('/proc/sys/net/ipv4/ip_local_port_range', 'utf8').catch(() => '32768')
  const highest = Math.min(Number.parseInt(range, 10), 32_768)
  for (let attempt = 0; attempt < 50 && highest > LOWEST; attempt++) {
    const port = randomInt(LOWEST, highest)
    if (await isFree(port)) return port
  }
  return anyPort()
}

async function anyPort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', resolve)
  })
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  if (address === null || typeof address === 'string') throw new Error('no port was given')
  return address.port
}

/** Whether a port of this machine can be listened on. */
export async function isFree(port: number, host = '127.0.0.1'): Promise<boolean> {
  const server = createServer()
  return new Promise((resolve) => {
    server.once('error', () => resolve(false))
    server.listen(port, host, () => server.close(() => resolve(true)))
  })
}
