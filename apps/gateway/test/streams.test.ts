import { once } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { waitFor } from '@skerry/testing'
import t from 'tap'
import { WebSocket, WebSocketServer } from 'ws'
import { startGateway } from './helpers/gateway.ts'
import { sendRaw } from './helpers/raw.ts'
import { startUpstream } from './helpers/upstream.ts'

const LIVE = { service: 'realtime', prefixes: ['/v1/live'] }

t.test('server-sent events', async (t) => {
  const g = await startGateway(t)
  const open: ServerResponse[] = []
  await startUpstream(t, g.nc, {
    ...LIVE,
    answer: (_req, res) => {
      res.writeHead(200, { 'content-type': 'text/event-stream' })
      res.flushHeaders()
      open.push(res)
    }
  })
  await g.live('realtime', 1)

  t.test('pass at once, one by one', async (t) => {
    const headers = { ...g.issuer.bearer(), 'last-event-id': '41' }
    const answer = await fetch(`${g.url}/v1/live`, { headers })
    t.equal(answer.status, 200, 'the head comes before any event')
    const reader = answer.body!.pipeThrough(new TextDecoderStream()).getReader()
    for (let i = 0; i < 3; i++) {
      open[0]?.write(`id: ${i}\ndata: x\n\n`)
      t.equal((await reader.read()).value, `id: ${i}\ndata: x\n\n`)
    }
    t.match(await g.metrics.text(), /skerry_gateway_streams\{[^}]*\} 1/)
    const gone = once(open[0]!, 'close')
    await reader.cancel()
    await gone
    t.pass('and end at the service when the client leaves')
    await waitFor(async () => /skerry_gateway_streams\{[^}]*\} 0/.test(await g.metrics.text()))
  })

  t.test('do not take the connections of requests', async (t) => {
    const stop = new AbortController()
    const many = await Promise.all(
      Array.from({ length: 100 }, () => fetch(`${g.url}/v1/live`, { headers: g.issuer.bearer(), signal: stop.signal }))
    )
    t.ok(many.every((answer) => answer.status === 200))
    stop.abort()
  })

  t.test('end when the gateway leaves', async (t) => {
    const answer = await fetch(`${g.url}/v1/live`, { headers: g.issuer.bearer() })
    const ended = answer.text()
    await g.gateway.app.close()
    t.equal(await ended, '', 'in good order')
  })
})

t.test('WebSocket', async (t) => {
  const g = await startGateway(t, {
    env: { WS_MESSAGE_LIMIT: '1000', LIMIT_ADDRESS_BURST: '20', LIMIT_ADDRESS_PER_SECOND: '1' }
  })
  const server = new WebSocketServer({ noServer: true })
  const handshakes: IncomingMessage[] = []
  const upstream = await startUpstream(t, g.nc, LIVE)
  upstream.server.on('upgrade', (request, socket, head) => {
    handshakes.push(request)
    if (request.url?.includes('refuse')) {
      socket.end('HTTP/1.1 429 Too Many Requests\r\ncontent-length: 0\r\n\r\n')
      return
    }
    server.handleUpgrade(request, socket, head, (ws) => {
      server.emit('connection', ws)
      ws.on('message', (data, binary) => ws.send(data, { binary }))
      ws.send('hello')
    })
  })
  t.teardown(() => server.close())
  await g.live('realtime', 1)
  const url = g.url.replace('http', 'ws')
  const connect = (path = '/v1/live/ws', headers: object = g.issuer.bearer()) =>
    new WebSocket(`${url}${path}`, { headers: { ...headers } })

  t.test('passes both ways, with the ids and without what the client made up', async (t) => {
    const ws = connect('/v1/live/ws?lastEventId=7', {
      ...g.issuer.bearer(),
      'x-user-id': 'admin',
      'x-request-id': 'my-stream'
    })
    const [hello] = await once(ws, 'message')
    t.equal(String(hello), 'hello')
    ws.send('text')
    t.equal(String((await once(ws, 'message'))[0]), 'text')
    ws.send(Buffer.from([0, 255]))
    const [binary, isBinary] = await once(ws, 'message')
    t.strictSame([...binary], [0, 255])
    t.equal(isBinary, true)
    const shake = handshakes.at(-1)
    t.equal(shake?.url, '/v1/live/ws?lastEventId=7')
    t.match(shake?.headers, {
      authorization: /^Bearer /,
      'x-request-id': 'my-stream',
      traceparent: /^00-/,
      'x-forwarded-for': '127.0.0.1'
    })
    t.notOk('x-user-id' in (shake?.headers ?? {}))
    const [there] = server.clients
    ws.close(4001)
    const [code] = await once(there!, 'close')
    t.equal(code, 4001)
  })

  t.test('a ping of the service is answered by the client, not by the gateway', async (t) => {
    const ws = connect()
    await once(ws, 'message')
    const [there] = server.clients
    const pinged = once(ws, 'ping')
    there?.ping('you?')
    t.equal(String((await pinged)[0]), 'you?')
    t.equal(String((await once(there!, 'pong'))[0]), 'you?')
    ws.close()
    await once(there!, 'close')
  })

  t.test('the token is checked before the connection is accepted', async (t) => {
    const before = handshakes.length
    const refusal = async (headers: object, path?: string) => {
      const ws = connect(path, headers)
      ws.on('error', () => ws.terminate())
      const [, response] = await once(ws, 'unexpected-response')
      return (response as IncomingMessage).statusCode
    }
    t.equal(await refusal({}), 401)
    t.equal(await refusal({ authorization: 'Bearer nonsense' }), 401)
    t.equal(await refusal(g.issuer.bearer({ exp: 1 })), 401)
    t.equal(await refusal(g.issuer.bearer(), '/v1/nothing'), 404)
    t.equal(await refusal(g.issuer.bearer(), '/v1/feed'), 503)
    for (let i = 0; i < 30; i++) await (await fetch(`${g.url}/v1/nothing`)).text()
    t.equal(await refusal({}), 429, 'and the limit holds')
    t.equal(handshakes.length, before)
  })

  t.test('a service that refuses closes the client and leaves nothing open', async (t) => {
    const ws = connect('/v1/live/ws?refuse')
    const [code] = await once(ws, 'close')
    t.equal(code, 1011)
    const connections = () =>
      new Promise<number>((resolve, reject) =>
        upstream.server.getConnections((error, n) => (error ? reject(error) : resolve(n)))
      )
    await waitFor(async () => (await connections()) === 0)
  })

  t.test('a message that is too large ends its connection', async (t) => {
    const ws = connect()
    await once(ws, 'message')
    ws.send('x'.repeat(2_000))
    t.equal((await once(ws, 'close'))[0], 1009)
  })

  t.test('another kind of upgrade is answered as if it had not asked', async (t) => {
    const token = g.issuer.bearer().authorization
    const answer = await sendRaw(
      g.port,
      `GET /v1/live HTTP/1.1\r\nhost: x\r\nauthorization: ${token}\r\nupgrade: h2c\r\nconnection: upgrade, close\r\nhttp2-settings: x\r\n\r\n`
    )
    t.equal(answer.status, 200)
    t.notOk('upgrade' in (upstream.requests.at(-1)?.headers ?? {}))
  })

  t.test('ends when the gateway leaves, so that the client connects again', async (t) => {
    const ws = connect()
    await once(ws, 'message')
    const closed = once(ws, 'close')
    await g.gateway.app.close()
    t.equal((await closed)[0], 1012)
  })
})
