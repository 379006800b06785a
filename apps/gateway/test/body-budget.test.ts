import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { setImmediate } from 'node:timers/promises'
import { waitFor } from '@skerry/testing'
import t, { type Test } from 'tap'
import { createBodyBudget } from '../src/listen/body-budget.ts'
import { Gather } from '../src/listen/gather.ts'
import { createPieceShare } from '../src/listen/piece-share.ts'
import { createPieces, type Pieces } from '../src/listen/pieces.ts'
import { openSession } from './helpers/clients.ts'
import { collected } from './helpers/collected.ts'
import { startOrigin } from './helpers/origin.ts'
import { startProcess } from './helpers/processes.ts'

t.test('the newest go: of the address that has too much, else of the one that has most', (t) => {
  const refused: string[] = []
  const budget = createBodyBudget({ total: 12_000, perAddress: 8_000 })
  const open = (name: string, address?: string) =>
    budget.open(address, createPieces({ most: 1_024 }), () => refused.push(name))
  const [a, b, c] = [open('a', 'home'), open('b', 'home'), open('c', 'home')]
  t.ok(b!.take(2_000))
  t.ok(a!.take(2_000))
  t.ok(c!.take(1_000))
  t.ok(b!.take(1_500), 'it came first')
  t.strictSame(refused.splice(0), ['c'], 'by their first byte, not by when they were opened')
  t.notOk(c!.take(1), 'nothing more of it is kept')
  t.ok(budget.bytes < 8_000)

  const d = open('d', 'elsewhere')
  t.ok(d.take(3_000))
  t.ok(d.take(2_000), 'all together are too much')
  t.strictSame(refused.splice(0), ['a'], 'of the address that has most')
  b!.complete()
  d.complete()
  const e = open('e')
  t.notOk(e.take(9_000), 'what is whole is not broken off')
  t.strictSame(refused.splice(0), ['e'])
  for (const hold of [a, b, c, d, e]) hold!.close()
  t.equal(budget.bytes, 0)

  const tiny = open('tiny', 'home')
  let parts = 0
  while (tiny.take(1)) parts++
  t.ok(parts < 20, 'parts of one byte are more than one byte')
  const roomy = createBodyBudget({ total: 1e9, perAddress: 1e9 })
  const passing = roomy.open('home', createPieces({ most: 1e9 }), () => refused.push('passing'))
  for (let i = 0; i < 20_000; i++) {
    passing.take(1)
    passing.give(1)
  }
  t.equal(roomy.bytes, 0, 'what passes is here no more')
  for (let i = 0; i < 1_000; i++) passing.take(7, true)
  passing.take(5_000)
  passing.give(7_000)
  t.ok(roomy.bytes >= 5_000 && roomy.bytes < 40_000, 'nor what was put together, and what it cost')
  passing.give(5_000)
  t.equal(roomy.bytes, 0)
  passing.take(1)
  passing.close()
  passing.give(1)
  t.equal(roomy.bytes, 0)
  t.notOk(refused.includes('passing'))
  for (let i = 0; i < 10_000; i++) {
    const hold = open('many', 'home')
    hold.take(100)
    hold.close()
  }
  t.equal(budget.bytes, 0)
  t.end()
})

t.test('pieces of bodies: a connection earns them with its bytes and its requests', (t) => {
  const budget = createBodyBudget({ total: 1e9, perAddress: 1e9 })
  const count = (pieces: Pieces, bytes: number, most: number) => {
    const why: string[] = []
    const hold = budget.open('home', pieces, (reason) => why.push(reason))
    let parts = 0
    while (parts < most && hold.take(bytes)) parts++
    hold.close()
    return { parts, why }
  }
  const events: string[] = []
  const pieces = createPieces({ most: 1_024, onFlood: () => events.push('flood') })
  const { parts, why } = count(pieces, 1, 10_000)
  t.equal(parts, Math.floor(1_024 / (1 - 1 / 128)), 'of one byte')
  t.strictSame(why, ['pieces'])
  t.equal(budget.bytes, 0)
  t.equal(
    count(pieces, 1, 10_000).parts,
    15,
    'the next body of this connection has what a usual one needs, and no more'
  )
  t.strictSame(events, [])
  const hold = budget.open('home', pieces, () => events.push('refused'))
  for (let i = 0; i < 5_000; i++) hold.take(1)
  t.strictSame(events, ['refused', 'flood'], 'what is only dropped counts as well, and both are said once')

  t.strictSame(
    count(createPieces({ most: 1_024 }), 128, 100_000),
    { parts: 100_000, why: [] },
    'a body of larger pieces may have any number'
  )
  const usual = createPieces({ most: 1_024 })
  const bodies = Array.from({ length: 10_000 }, () => count(usual, 1, 16).parts)
  t.strictSame(new Set(bodies), new Set([16]), 'and so may one that brings body after body')
  let many = 0
  const busy = createPieces({ most: 1_024, onMany: () => many++ })
  count(busy, 1_000, 1_000)
  t.equal(many, 3)
  t.end()
})

t.test('pieces of all bodies: a turn of the event loop has a share', async (t) => {
  const share = createPieceShare(300)
  const events: string[] = []
  const open = (name: string) =>
    createPieces({
      most: 400,
      share,
      stop() {
        events.push(`${name} stops`)
        return () => events.push(`${name} reads on`)
      }
    })
  const take = (pieces: Pieces, bytes: number, count: number) => {
    for (let i = 0; i < count; i++) {
      const why = pieces.take(bytes)
      if (why !== undefined) return why
    }
    return undefined
  }
  const [a, b, large, over] = [open('a'), open('b'), open('large'), open('over')]
  for (const one of [a, b, large, over]) one.begin()
  take(large, 10_000, 50)
  over.end()
  t.equal(take(a, 1, 200), undefined)
  t.strictSame(events.splice(0), ['a stops'], 'who has brought a quarter of the most')
  t.equal(take(b, 1, 90), undefined)
  t.strictSame(events.splice(0), [], 'has not')
  t.equal(take(b, 1, 20), undefined)
  t.strictSame(
    events.splice(0),
    ['b stops'],
    'the share is spent: not who has earned all, nor who has no body under way'
  )
  t.equal(take(large, 1, 150), undefined, 'who was there before goes on to the end of what was read')

  const late = open('late')
  late.begin()
  t.equal(take(late, 1, 150), undefined)
  t.equal(take(late, 1, 50), 'busy', 'who comes when it is spent has what a request costs')
  t.strictSame(new Set(events.splice(0)), new Set(['late stops', 'large stops']))
  await setImmediate()
  t.strictSame(events.splice(0), ['a reads on'], 'each turn pays for what it has left')
  await setImmediate()
  t.strictSame(events.splice(0), ['b reads on', 'large reads on', 'late reads on'], 'in the order in which they came')
  t.equal(take(a, 1, 250), undefined, 'what was paid can be brought again')
  t.equal(take(a, 1, 60), 'pieces', 'and no more at once')
})

t.test('what is over is not held by what goes on, however many there were at once', async (t) => {
  const budget = createBodyBudget({ total: 1e9, perAddress: 1e9 })
  const requests: WeakRef<object>[] = []
  const open = () => {
    const request = { body: 'x' }
    requests.push(new WeakRef(request))
    const hold = budget.open('home', createPieces({ most: 1_024 }), () => Object.keys(request))
    hold.take(10)
    return hold
  }
  const one = budget.open('home', createPieces({ most: 1_024 }), () => {})
  one.take(10)
  const openMany = () => {
    for (const hold of Array.from({ length: 100 }, open)) hold.close()
  }
  openMany()
  await collected(requests)
  one.close()
  t.equal(budget.bytes, 0)
})

t.test('small parts are put together', async (t) => {
  const got: Buffer[] = []
  const gather = new Gather((part) => {
    got.push(part)
    return got.length < 20
  })
  const sent: Buffer[] = []
  const add = (bytes: number) => {
    const part = Buffer.alloc(bytes, sent.length)
    sent.push(part)
    return gather.add(part)
  }
  for (let i = 0; i < 16; i++) add(10)
  t.equal(got.length, 16, 'the first go on as they come')
  for (let i = 0; i < 500; i++) add(50)
  t.equal(got.length, 17, 'then a buffer that is full')
  await setImmediate()
  t.equal(got.length, 18, 'and what a turn has brought')
  add(1)
  add(10_000)
  t.equal(got.length, 20, 'a large one goes after what came before it')
  t.notOk(add(1), 'it is said when no more is wanted')
  gather.flush()
  t.ok(Buffer.concat(got).equals(Buffer.concat(sent)))
  add(1)
  gather.drop()
  gather.flush()
  t.equal(got.length, 21)
})

const MIB = 1_048_576
const BODIES = 16 * MIB

t.test('bodies one byte short, at a real gateway', async (t) => {
  const origin = await startOrigin(t, 'one', (request, response) => {
    request.resume().on('end', () => response.end('{}'))
  })
  const gateway = await startProcess(t, '../../src/main.ts', {
    ...{ PORT: '0', DRAIN_MS: '0', IDLE_KEPT_MS: '0', LIMIT_EXEMPT: '127.0.0.1', HEALTH_INTERVAL_MS: '0' },
    ...{ BODIES_BYTES: String(BODIES), ROUTES: `/x=${origin.url}` }
  })
  const port = Number(new URL(gateway.url).port)
  const refusals = async () =>
    Number(
      /^skerry_gateway_bodies_refused_total\{.*\} (\d+)$/m.exec(
        await (await fetch(`${gateway.ops}/metrics`)).text()
      )?.[1]
    )
  const faults = async () => /^skerry_faults_total/m.test(await (await fetch(`${gateway.ops}/metrics`)).text())

  for (const path of ['/x', '/v1/batch'])
    await t.test(path, async (t) => {
      const before = await refusals()
      const clients = Array.from({ length: 40 }, () => short(t, port, path))
      await Promise.all(clients.map(({ written }) => written))
      await waitFor(async () => (await refusals()) - before >= 40 - BODIES / MIB)
      const answered = () => clients.filter(({ heard }) => heard() !== '')
      await waitFor(() => answered().length >= 40 - BODIES / MIB)
      const refusal = /^HTTP\/1\.1 503 .*\r\nretry-after: 1\r\n.*"UNAVAILABLE"/s
      t.strictSame(
        answered().filter(({ heard }) => !refusal.test(heard())),
        []
      )
      t.equal((await fetch(`${gateway.url}/x`)).status, 200, 'what has no body is answered')
      const small = await fetch(`${gateway.url}/x`, { method: 'POST', body: 'small' })
      t.ok([200, 503].includes(small.status), 'the newest of all may have to come back')
      const left = clients.filter(({ heard }) => heard() === '')
      t.ok(left.length > 0 && left.length <= BODIES / MIB)
      for (const { socket } of left) socket.write('}')
      await Promise.all(left.map(({ heard }) => waitFor(() => heard() !== '')))
      t.notOk(
        left.some(({ heard }) => heard().startsWith('HTTP/1.1 503 ')),
        'whoever was not refused is answered'
      )
      t.equal((await fetch(`${gateway.url}/x`, { method: 'POST', body: 'small' })).status, 200)
    })

  await t.test('over HTTP/2', async (t) => {
    const before = await refusals()
    const sessions = Array.from({ length: 6 }, () => openSession(t, gateway.url))
    const statuses: number[] = []
    let closed = 0
    const streams = sessions.flatMap((session) =>
      Array.from({ length: 8 }, () => {
        const stream = session.request({ ':method': 'POST', ':path': '/x', 'content-length': MIB })
        stream.on('error', () => {})
        stream.on('response', (head) => statuses.push(Number(head[':status'])))
        stream.on('close', () => closed++)
        stream.resume()
        stream.write(Buffer.alloc(MIB - 1))
        return stream
      })
    )
    await waitFor(async () => (await refusals()) - before >= 48 - BODIES / MIB)
    await waitFor(() => closed >= 48 - BODIES / MIB)
    t.strictSame(new Set(statuses), new Set([503]))
    for (const stream of streams) if (!stream.closed) stream.end('}')
    await waitFor(() => closed === 48)
    t.ok(statuses.includes(200))
  })
  t.equal(gateway.child.exitCode, null)
  t.notOk(await faults())
})

/** A request whose last byte is missing. */
function short(t: Test, port: number, path: string): { socket: Socket; written: Promise<unknown>; heard(): string } {
  const socket = connect(port, '127.0.0.1')
  let heard = ''
  socket.on('data', (chunk) => {
    heard += chunk.toString('latin1')
  })
  socket.on('error', () => socket.destroy())
  t.teardown(() => socket.destroy())
  const head = `POST ${path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: ${MIB}\r\n\r\n`
  socket.write(head)
  const written = Promise.race([
    new Promise((resolve) => socket.write(Buffer.alloc(MIB - 1, '{'), resolve)),
    once(socket, 'close')
  ])
  return { socket, written, heard: () => heard }
}
