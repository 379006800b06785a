import { randomInt } from 'node:crypto'
import { createSocket, type Socket } from 'node:dgram'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:net'

const LOWEST = 12_000

/** One socket for each port that this process has given out: it holds the number until the process ends. */
const claims = new Set<Socket>()

/**
 * A port that nobody listens on now, and that no process gets from this function again while this one runs: between choosing and listening
 * another one would else be given the same, and take the server that it then finds there for its own.
 *
 * It lies below those that the system gives to outgoing connections where it can: a client that keeps trying to reach a store that is down
 * may otherwise be given that store's port as its own, and the store could not come back.
 *
 * @param range the lowest port and the first one above them; given by tests of this alone
 */
export async function freePort(range?: readonly [number, number]): Promise<number> {
  const [lowest, highest] = range ?? [LOWEST, await lowestOfSystem()]
  for (let attempt = 0; attempt < 50 && highest > lowest; attempt++) {
    const port = randomInt(lowest, highest)
    if ((await isFree(port)) && (await claim(port))) return port
  }
  return anyPort()
}

async function lowestOfSystem(): Promise<number> {
  const range = await readFile('/proc/sys/net/ipv4/ip_local_port_range', 'utf8').catch(() => '32768')
  return Math.min(Number.parseInt(range, 10), 32_768)
}

/**
 * Whether the number is ours alone among all processes that ask here. The lock is its UDP port: servers listen on the TCP one, the kernel lets
 * one process have it, and gives it back however that one ends.
 */
async function claim(port: number): Promise<boolean> {
  const socket = createSocket('udp4')
  return new Promise((resolve) => {
    socket.once('error', (error: NodeJS.ErrnoException) => {
      socket.close()
      // Where UDP is not allowed there is no lock, and a port is only likely to be free.
      resolve(error.code !== 'EADDRINUSE')
    })
    socket.bind({ port, address: '127.0.0.1', exclusive: true }, () => {
      socket.unref()
      claims.add(socket)
      resolve(true)
    })
  })
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
