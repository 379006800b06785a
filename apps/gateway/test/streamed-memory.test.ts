import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { type IncomingMessage, type RequestListener, request } from 'node:http'
import { text } from 'node:stream/consumers'
import { faultRun, give, skipWithout } from '@skerry/testing'
import t, { type Test } from 'tap'
import { openSession } from './helpers/clients.ts'
import { MIB, startService, startStreaming } from './helpers/streamed.ts'

// Gigabytes up and down through a gateway of its own process: how much memory that takes. In `npm test` with less.

const run = faultRun({ short: 1, long: 1 })
t.setTimeout(run.limitMs)
const SIZE = run.long ? 2_048 * MIB : 96 * MIB
/** The promise, for the long run to hold; in the short one chance has a part, and what was kept would be all 96 MB. */
const MOST_MB = process.env.SKERRY_FAULTS === '1' ? 30 : 64

/** Takes uploads and says how long they were; gives as many bytes as its path says. */
const answer: RequestListener = async (message, response) => {
  if (message.method === 'POST') {
    let size = 0
    message.on('data', (part) => {
      size += part.length
    })
    await once(message, 'end')
    response.end(String(size))
    return
  }
  const size = Number(message.url!.slice('/f/'.length))
  response.writeHead(200, { 'content-length': size })
  give(response, size)
}

async function lengthOf(message: AsyncIterable<Buffer>): Promise<number> {
  let size = 0
  for await (const part of message) size += part.length
  return size
}

const rssOf = (pid: number) => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]) / 1_024

/** How many MB a process has grown by while something went on, at most. */
async function growth(pid: number, work: () => Promise<number>, expected: number, t: Test): Promise<number> {
  const before = rssOf(pid)
  let most = before
  const look = setInterval(() => {
    most = Math.max(most, rssOf(pid))
  }, 20)
  t.equal(await work(), expected, 'all of it arrives')
  clearInterval(look)
  return most - before
}

const missing = existsSync('/proc/self/status') ? undefined : 'it reads /proc, which Linux has'

t.test('memory', skipWithout(missing), async (t) => {
  const service = await startService(t, answer)
  const gateway = await startStreaming(t, [service.url], {}, { bodyLimit: 4_096 * MIB })
  const url = `${gateway.url}/f/`
  const session = openSession(t, gateway.url, { settings: { initialWindowSize: MIB } })
  session.once('connect', () => session.setLocalWindowSize(MIB))
  const upload = async (size: number, headers: Record<string, number>) => {
    const up = request(`${url}a`, { method: 'POST', headers })
    give(up, size)
    const [got] = (await once(up, 'response')) as [IncomingMessage]
    return Number(await text(got))
  }
  const ways: Record<string, (size: number) => Promise<number>> = {
    'up over HTTP/1.1': (size) => upload(size, { 'content-length': size }),
    'up in chunks': (size) => upload(size, {}),
    'down over HTTP/1.1': async (size) => {
      const [got] = (await once(request(`${url}${size}`).end(), 'response')) as [IncomingMessage]
      return lengthOf(got)
    },
    'up over HTTP/2': async (size) => {
      const up = session.request({ ':method': 'POST', ':path': '/f/a' })
      give(up, size)
      return Number(await text(up))
    },
    'down over HTTP/2': (size) => lengthOf(session.request({ ':path': `/f/${size}` }))
  }
  // What the code itself needs, once it is compiled and has run for a while.
  for (const way of Object.values(ways)) for (let i = 0; i < 3; i++) await way(8 * MIB)
  for (const [what, way] of Object.entries(ways)) {
    const grown = await growth(gateway.child.pid!, () => way(SIZE), SIZE, t)
    t.ok(grown <= MOST_MB, `${SIZE / MIB} MB ${what}: ${grown.toFixed(1)} MB of memory`)
    t.comment(
      `${SIZE / MIB} MB ${what}: ${grown.toFixed(1)} MB of memory, ${rssOf(gateway.child.pid!).toFixed(0)} MB in all`
    )
  }
})
