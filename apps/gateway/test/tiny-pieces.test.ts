import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { waitFor } from '@skerry/testing'
import t, { type Test } from 'tap'
import { GatewayRequest } from '../src/listen/http1-request.ts'
import { block, END_HEADERS, END_STREAM, frame, openRaw, TYPE } from './helpers/http2-frames.ts'
import { echo, startListener } from './helpers/listener.ts'
import { sendRaw } from './helpers/raw.ts'

// A piece of a body costs the same however small it is.

const HEAD = 'POST /v1/x HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n'
const LAST = 'POST /v1/x HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n'
const chunk = (bytes: number) => `${bytes.toString(16)}\r\n${'a'.repeat(bytes)}\r\n`
const END = '0\r\n\r\n'

t.test('HTTP/1.1: a body in chunks of one byte', async (t) => {
  const { push } = GatewayRequest.prototype
  let pushed = 0
  GatewayRequest.prototype.push = function (part, encoding) {
    pushed++
    return push.call(this, part, encoding)
  }
  t.teardown(() => {
    GatewayRequest.prototype.push = push
  })
  const { port } = await startListener(t, { handler: echo })

  const refused = await sendRaw(port, HEAD + chunk(1).repeat(9_000))
  t.equal(refused.status, 413)
  t.match(refused.body, 'too many pieces')
  t.ok(pushed > 1_000 && pushed < 1_100, 'what else the same read has brought makes nothing')

  // Its parser is used again.
  const answers = await Promise.all(Array.from({ length: 5 }, () => sendRaw(port, LAST + chunk(1).repeat(900) + END)))
  for (const { status, body } of answers) {
    t.equal(status, 200)
    t.match(body, `"body":"${'a'.repeat(900)}"`)
  }

  const socket = connect(port, '127.0.0.1')
  t.teardown(() => socket.destroy())
  socket.on('error', () => socket.destroy())
  let heard = ''
  socket.on('data', (part) => {
    heard += part.toString('latin1')
  })
  for (let i = 0; i < 5; i++) {
    heard = ''
    socket.write(HEAD + chunk(1).repeat(600) + END)
    await waitFor(() => heard.endsWith(END))
    t.match(heard, /^HTTP\/1\.1 200 /, 'what it has not earned comes as soon as there is time')
  }
  heard = ''
  socket.write(HEAD + chunk(1).repeat(900) + END)
  await waitFor(() => heard.includes('too many pieces'))
  t.match(heard, /^HTTP\/1\.1 413 /, 'but not so much at once')
  await waitFor(() => socket.destroyed)
})

/** Counts the parts of bodies that are taken in each turn of the event loop. */
function countTurns(t: Test): { readonly most: number; readonly turns: number } {
  const { push } = GatewayRequest.prototype
  const counted = { most: 0, turns: 0 }
  let now = 0
  GatewayRequest.prototype.push = function (part, encoding) {
    if (now === 0) {
      counted.turns++
      setImmediate(() => {
        now = 0
      })
    }
    now++
    counted.most = Math.max(counted.most, now)
    return push.call(this, part, encoding)
  }
  t.teardown(() => {
    GatewayRequest.prototype.push = push
  })
  return counted
}

/** Connections that have sent `first`, which their listener has. */
async function openMany(
  t: Test,
  port: number,
  count: number,
  first: string
): Promise<{ socket: Socket; heard: string }[]> {
  const open = async () => {
    const socket = connect(port, '127.0.0.1')
    t.teardown(() => socket.destroy())
    const client = { socket, heard: '' }
    socket.on('error', () => socket.destroy())
    socket.on('data', (part) => {
      client.heard += part.toString('latin1')
    })
    await once(socket, 'connect')
    if (first !== '') socket.write(first)
    return client
  }
  return Promise.all(Array.from({ length: count }, open))
}

t.test('HTTP/1.1: connections that all stay below what each may bring have a share of each turn', async (t) => {
  const met: string[] = []
  let heads = 0
  const { port } = await startListener(t, {
    handler(request, response) {
      heads++
      echo(request, response)
    },
    onBound: (bound) => met.push(bound)
  })
  const clients = await openMany(t, port, 60, LAST)
  await waitFor(() => heads === clients.length)
  const counted = countTurns(t)
  for (const { socket } of clients) socket.write(chunk(1).repeat(1_000) + END)
  await waitFor(() => clients.every(({ socket }) => socket.destroyed))
  for (const { heard } of clients) t.ok(heard.startsWith('HTTP/1.1 200 ') && heard.includes('a'.repeat(1_000)))
  t.ok(counted.most > 1_000 && counted.most < 4_096, 'no turn is theirs alone', counted)
  t.ok(counted.turns >= 15, 'they come in many', counted)
  t.strictSame(met, [], 'and nobody is refused')
})

t.test('HTTP/1.1: a long body in pieces of 100 bytes is slowed, and comes whole', async (t) => {
  const { port } = await startListener(t, { handler: echo })
  const counted = countTurns(t)
  const { status, body } = await sendRaw(port, LAST + chunk(100).repeat(9_000) + END)
  t.equal(status, 200)
  t.match(body, `"body":"${'a'.repeat(100 * 9_000)}"`)
  t.ok(counted.most < 4_096, 'in many turns', counted)
})

t.test('HTTP/1.1: who begins with many pieces in a turn whose share is spent is told to come back', async (t) => {
  const met: string[] = []
  const { port, listener } = await startListener(t, {
    env: { BODY_PIECES_TURN: '100' },
    handler: echo,
    onBound: (bound) => met.push(bound)
  })
  let here = 0
  listener.server.on('connection', () => here++)
  const clients = await openMany(t, port, 4, '')
  await waitFor(() => here === clients.length)
  for (const { socket } of clients) socket.write(LAST + chunk(1).repeat(500) + END)
  await waitFor(() => clients.every(({ socket }) => socket.destroyed))
  const statuses = clients.map(({ heard }) => heard.slice(9, 12)).toSorted()
  t.equal(statuses[0], '200', 'the first of a turn is served')
  t.equal(statuses.at(-1), '503')
  t.match(clients.find(({ heard }) => heard.startsWith('HTTP/1.1 503'))?.heard, /retry-after: 1\r\n.*small pieces/s)
  t.strictSame(new Set(met), new Set(['BODY_PIECES_TURN']))
  t.equal((await sendRaw(port, LAST + chunk(1).repeat(500) + END)).status, 200, 'and is served when it does')
})

t.test('HTTP/1.1: small chunks are put together, and the others have their turn', async (t) => {
  let events = 0
  let pauses = 0
  const { port } = await startListener(t, {
    handler(request, response) {
      request.on('data', () => events++)
      request.socket.on('pause', () => pauses++)
      echo(request, response)
    }
  })
  const { status, body } = await sendRaw(port, LAST + chunk(128).repeat(8_000) + END)
  t.equal(status, 200)
  t.match(body, `"body":"${'a'.repeat(128 * 8_000)}"`, 'whole')
  t.ok(events < 2_000, 'most of them are no event')
  t.ok(pauses > 10)
})

t.test('HTTP/1.1: a part is not held back for the next', async (t) => {
  let got = 0
  const { port } = await startListener(t, {
    handler(request, response) {
      request.on('data', (part: Buffer) => {
        got += part.length
      })
      echo(request, response)
    }
  })
  const socket = connect(port, '127.0.0.1')
  t.teardown(() => socket.destroy())
  socket.write(HEAD)
  for (let sent = 1; sent <= 40; sent++) {
    socket.write(chunk(1))
    await waitFor(() => got === sent)
  }
  socket.write(END)
  t.match(String((await once(socket, 'data'))[0]), /^HTTP\/1\.1 200 /)
})

t.test('HTTP/2: DATA frames of one byte', async (t) => {
  const { port, ended } = await startListener(t, { handler: echo })
  const post = (stream: number) =>
    frame(
      TYPE.headers,
      END_HEADERS,
      stream,
      block([
        [':method', 'POST'],
        [':scheme', 'http'],
        [':path', '/v1/x'],
        [':authority', 'x']
      ])
    )
  const pieces = (stream: number, count: number) =>
    Buffer.concat(Array<Buffer>(count).fill(frame(TYPE.data, 0, stream, 'a')))
  const client = await openRaw(t, port)
  client.send(post(1), pieces(1, 900), frame(TYPE.data, END_STREAM, 1))
  await client.next(({ type, flags, stream }) => type === TYPE.data && stream === 1 && (flags & END_STREAM) !== 0)
  const answer = Buffer.concat(
    client.frames.filter(({ type, stream }) => type === TYPE.data && stream === 1).map(({ payload }) => payload)
  )
  t.equal(JSON.parse(answer.toString()).body, 'a'.repeat(900))
  client.send(post(3), pieces(3, 900))
  const refusal = await client.next(({ type, stream }) => type === TYPE.data && stream === 3)
  t.match(refusal.payload.toString(), 'too many pieces')
  t.strictSame(ended, [], 'the stream alone')

  for (let stream = 5; stream < 41; stream += 2) client.send(post(stream), pieces(stream, 900))
  await client.closed
  t.strictSame(ended, ['pieces'], 'who goes on loses the connection')
})
