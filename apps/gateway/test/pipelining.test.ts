import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import { connect, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { waitFor } from '@skerry/testing'
import t, { type Test } from 'tap'
import { inTurn, waitingOn } from '../src/door/in-turn.ts'
import { talk } from './helpers/clients.ts'
import { converse, readAnswers } from './helpers/conversation.ts'
import { startGateway } from './helpers/gateway.ts'
import { startListener } from './helpers/listener.ts'
import { startUpstream } from './helpers/upstream.ts'

const HOST = 'HTTP/1.1\r\nhost: x\r\n'
/** So many requests, after which the connection ends: more than one read brings. */
const many = (path: string, count = 2_500) =>
  `${`GET ${path} ${HOST}\r\n`.repeat(count - 1)}GET ${path} ${HOST}connection: close\r\n\r\n`

/** A connection whose server may take its time. */
function open(t: Test, port: number) {
  const socket = connect(port, '127.0.0.1')
  let text = ''
  socket.on('data', (chunk) => {
    text += chunk.toString('latin1')
  })
  socket.on('error', () => socket.destroy())
  t.teardown(() => socket.destroy())
  return {
    send: (bytes: string) => socket.write(bytes, 'latin1'),
    closed: once(socket, 'close'),
    text: () => text,
    statuses: () => readAnswers(text).answers.map(({ status }) => status)
  }
}

t.test('several requests on a connection, sent without waiting', async (t) => {
  const g = await startGateway(t, { env: { LIMIT_EXEMPT: '127.0.0.1', HEALTH_INTERVAL_MS: '0' } })
  const held: ServerResponse[] = []
  const posts = await startUpstream(t, g.nc, {
    answer: (request, response) => {
      if (request.url?.includes('/held')) held.push(response)
      else response.end('{}')
    }
  })
  await g.live('content', 1)
  const paths = () => posts.requests.map(({ url }) => url)
  t.beforeEach(() => {
    posts.requests.length = 0
    held.length = 0
  })

  t.test('a HEAD whose body breaks while it waits is refused without one', async (t) => {
    const client = open(t, g.port)
    client.send(
      `GET /v1/posts/held ${HOST}\r\nHEAD /v1/posts/2 ${HOST}transfer-encoding: chunked\r\n\r\n5\r\nhelloX\r\n`
    )
    await waitFor(() => held.length === 1)
    held[0]?.end('{}')
    await client.closed
    t.strictSame(client.statuses(), [200, 400])
    t.match(client.text(), /\r\n\r\n$/, 'an answer to HEAD ends with its head')
  })

  t.test('reach their service one after the other', async (t) => {
    const client = open(t, g.port)
    client.send(`GET /v1/posts/held ${HOST}\r\nDELETE /v1/posts/2 ${HOST}\r\nGET /v1/posts/3 ${HOST}\r\n`)
    await waitFor(() => held.length === 1)
    // Whoever else asks is answered meanwhile, so the second request would have been there, too.
    t.equal((await fetch(`${g.url}/v1/posts/other`)).status, 200)
    t.strictSame(paths(), ['/v1/posts/held', '/v1/posts/other'])
    held[0]?.writeHead(201).end()
    await waitFor(() => client.statuses().length === 3)
    t.strictSame(client.statuses(), [201, 200, 200])
    t.strictSame(paths().slice(2), ['/v1/posts/2', '/v1/posts/3'])
  })

  t.test('with bytes behind them that are no request: they are answered, then the bytes are refused', async (t) => {
    for (const broken of ['no request\r\n\r\n', `POST /v1/posts ${HOST}transfer-encoding: chunked\r\n\r\nzz\r\n`]) {
      const client = open(t, g.port)
      client.send(`DELETE /v1/posts/held ${HOST}\r\n${broken}`)
      await waitFor(() => held.length === 1)
      client.send('and more of it')
      t.equal((await fetch(`${g.url}/v1/posts/other`)).status, 200)
      t.strictSame(client.statuses(), [], 'no refusal in the place of their answer')
      held.pop()?.writeHead(204).end()
      await client.closed
      t.strictSame(client.statuses(), [204, 400])
    }
  })

  t.test('with bytes behind the last one', async (t) => {
    const client = open(t, g.port)
    client.send(`DELETE /v1/posts/held ${HOST}connection: close\r\n\r\nGET /v1/posts/2 ${HOST}\r\n`)
    await waitFor(() => held.length === 1)
    held[0]?.writeHead(204).end()
    await client.closed
    t.strictSame(client.statuses(), [204])
    t.strictSame(paths(), ['/v1/posts/held'])
  })

  t.test('behind one after which the gateway closes: they are not begun', async (t) => {
    const doubtful = `GET /v1/posts ${HOST}host: y\r\n\r\n`
    const { answers } = await converse(g.port, [Buffer.from(`${doubtful}DELETE /v1/posts/2 ${HOST}\r\n`)])
    t.strictSame(
      answers.map(({ status, headers }) => [status, headers.get('connection')]),
      [[400, 'close']]
    )
    t.equal((await fetch(`${g.url}/v1/posts/other`)).status, 200)
    t.strictSame(paths(), ['/v1/posts/other'])
  })

  t.test('a body that breaks after its request was refused gets no second answer', async (t) => {
    const client = open(t, g.port)
    client.send(`POST /v1/posts/%2e ${HOST}transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n`)
    await waitFor(() => client.statuses().length === 1)
    client.send('zz\r\n')
    await client.closed
    t.strictSame(client.statuses(), [400])
    t.strictSame(paths(), [])
  })

  t.test('a doubtful message ends its connection also where no service would have got it', async (t) => {
    const last = `GET /v1/posts/last ${HOST}connection: close\r\n\r\n`
    const heads = {
      'an unknown path': `POST /nowhere ${HOST}host: y\r\n`,
      'a path of the gateway': `GET /livez ${HOST}host: y\r\n`,
      'a preflight': `OPTIONS /v1/posts ${HOST}host: y\r\norigin: https://a.example\r\n`,
      'a method nobody takes': `TRACE /v1/posts ${HOST}host: y\r\n`,
      'an expectation nobody meets': `POST /v1/posts ${HOST}host: y\r\nexpect: a-miracle\r\n`,
      'no host': 'POST /v1/posts HTTP/1.1\r\n',
      'an odd coding': `POST /nowhere ${HOST}transfer-encoding: identity, chunked\r\n`
    }
    for (const [name, head] of Object.entries(heads)) {
      const framing = head.includes('transfer-encoding') ? '\r\n0\r\n\r\n' : 'content-length: 0\r\n\r\n'
      const { answers } = await converse(g.port, [Buffer.from(`${head}${framing}${last}`)])
      t.equal(answers.length, 1, name)
      t.ok(answers[0]!.status >= 400, `${name}: ${answers[0]?.status}`)
    }
    t.strictSame(paths(), [])
  })

  t.test('thousands of them are answered in order, and others meanwhile', async (t) => {
    for (const [path, count] of [
      ['/v1/posts/2', 1_600],
      ['/livez', 2_500],
      ['/v1/nothing', 2_500]
    ] as const) {
      const client = open(t, g.port)
      client.send(many(path, count))
      let over = false
      void client.closed.then(() => {
        over = true
      })
      const others = []
      while (!over) {
        others.push((await fetch(`${g.url}/livez`)).status)
        await delay(5)
      }
      const statuses = client.statuses()
      t.equal(statuses.length, count)
      t.strictSame(new Set(statuses), new Set([path === '/v1/nothing' ? 404 : 200]), path)
      t.strictSame(new Set(others), new Set([200]))
    }
  })
})

t.test('beyond a limit they are refused, each in its turn', async (t) => {
  const g = await startGateway(t, { env: { LIMIT_ADDRESS_BURST: '5', LIMIT_ADDRESS_PER_SECOND: '0.001' } })
  const client = open(t, g.port)
  client.send(many('/v1/posts'))
  await client.closed
  const statuses = client.statuses()
  t.equal(statuses.length, 2_500)
  t.equal(statuses.filter((status) => status === 429).length, 2_495)
})

const TURNS = { waiting: 16, inAll: 5_000 }

t.test('while requests wait for their turn nothing more is read', async (t) => {
  const held: ServerResponse[] = []
  const sockets: Socket[] = []
  let handled = 0
  const { port, listener } = await startListener(t, {
    handler(request, response) {
      inTurn(
        request.socket,
        response,
        () => {
          handled++
          if (request.url === '/held') held.push(response)
          else response.end(request.url)
        },
        TURNS
      )
    }
  })
  listener.server.on('connection', (socket: Socket) => sockets.push(socket))
  const client = connect(port, '127.0.0.1')
  t.teardown(() => client.destroy())
  let heard = 0
  client.on('data', (chunk: Buffer) => {
    heard += chunk.toString('latin1').split('HTTP/1.1 200').length - 1
  })
  const each = `GET /x ${HOST}\r\n`
  const MANY = 15_000
  client.write(`GET /held ${HOST}\r\n`)
  client.write(each.repeat(MANY))
  await waitFor(() => held.length === 1 && waitingOn(sockets[0]!) > 0)
  // Somebody else's request, from connecting to the answer, several times: whatever is to be read would have been.
  for (let i = 0; i < 10; i++) await talk(port, `GET /x HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n`)
  const [socket] = sockets
  t.ok(socket!.bytesRead < 3 * 65_536, 'two reads at most, of more than six')
  held[0]!.end('held')
  await waitFor(() => heard === MANY + 1)
  t.equal(handled, MANY + 11, 'and then all are answered')
  t.equal(waitingOn(socket!), 0)
})

t.test('all connections together have a bound: those that bring too much end', async (t) => {
  const held: ServerResponse[] = []
  const sockets: Socket[] = []
  const { port, listener } = await startListener(t, {
    handler(request, response) {
      inTurn(
        request.socket,
        response,
        () => {
          if (request.url === '/held') held.push(response)
          else response.end('x')
        },
        TURNS
      )
    }
  })
  listener.server.on('connection', (socket: Socket) => sockets.push(socket))
  const clients = Array.from({ length: 40 }, () => {
    const client = connect(port, '127.0.0.1')
    client.on('error', () => client.destroy())
    client.resume().write(`GET /held ${HOST}\r\n${`GET /x ${HOST}\r\n`.repeat(500)}`)
    t.teardown(() => client.destroy())
    return client
  })
  // 20,000 requests; nothing of what was taken has an answer yet.
  await waitFor(() => sockets.length === 40 && sockets.every((one) => one.destroyed || waitingOn(one) > 0))
  await waitFor(() => sockets.some(({ destroyed }) => destroyed))
  const waiting = () => sockets.reduce((sum, one) => sum + waitingOn(one), 0)
  t.ok(waiting() <= 5_000 + 40 * 16, 'some kilobytes each')
  t.match(await talk(port, `GET /x HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n`), /^HTTP\/1\.1 200 /)
  t.notOk(sockets[0]!.destroyed, 'who was there before stays')
  for (const response of held) response.end('held')
  await waitFor(() => waiting() === 0)
  for (const client of clients) client.destroy()
})
