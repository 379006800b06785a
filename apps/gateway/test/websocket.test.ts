import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { connect as connectTcp } from 'node:net'
import type { Duplex } from 'node:stream'
import { waitFor } from '@skerry/testing'
import t from 'tap'
import { WebSocket, WebSocketServer } from 'ws'
import { startGateway, type TestGateway } from './helpers/gateway.ts'
import { sendRaw } from './helpers/raw.ts'
import { startUpstream } from './helpers/upstream.ts'

const LIVE = { service: 'realtime', prefixes: ['/v1/live'] }

t.test('WebSocket', async (t) => {
  const g = await startGateway(t, {
    env: { WS_MESSAGE_LIMIT: '1000', LIMIT_ADDRESS_BURST: '20', LIMIT_ADDRESS_PER_SECOND: '0.01' }
  })
  const server = new WebSocketServer({ noServer: true })
  const handshakes: IncomingMessage[] = []
  const upstream = await startUpstream(t, g.nc, LIVE)
  upstream.server.on('upgrade', (request, socket, head) => {
    handshakes.push(request)
    if (request.url?.includes('refuse-at-length')) {
      const body = 'x'.repeat(70_000)
      socket.end(`HTTP/1.1 403 Forbidden\r\ncontent-length: ${body.length}\r\n\r\n${body}`)
      return
    }
    if (request.url?.includes('refuse-without-content')) {
      socket.end('HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\n')
      return
    }
    if (request.url?.includes('refuse')) {
      socket.end('HTTP/1.1 429 Too Many Requests\r\nretry-after: 7\r\ncontent-length: 8\r\n\r\ntoo many')
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

  t.test('a token that comes as a subprotocol, as browsers must send it', async (t) => {
    const token = g.issuer.bearer().authorization.slice('Bearer '.length)
    const ws = new WebSocket(`${url}/v1/live/ws`, ['skerry', `skerry.bearer.${token}`])
    await once(ws, 'message')
    t.equal(ws.protocol, 'skerry')
    const { headers, rawHeaders } = handshakes.at(-1)!
    t.equal(headers.authorization, `Bearer ${token}`)
    t.equal(headers['sec-websocket-protocol'], 'skerry')
    t.equal(rawHeaders.filter((value) => value.includes(token)).length, 1, 'the token goes once, and not as a protocol')
    ws.close()
    const bad = new WebSocket(`${url}/v1/live/ws`, ['skerry', 'skerry.bearer.nonsense'])
    const [, refusal] = (await once(bad, 'unexpected-response')) as [unknown, IncomingMessage]
    t.equal(refusal.statusCode, 401)
    bad.on('error', () => {}).terminate()
  })

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

  t.test('the refusal of a service is the answer to the client, and leaves nothing open', async (t) => {
    const ws = connect('/v1/live/ws?refuse')
    ws.on('error', () => ws.terminate())
    const [, response] = await once(ws, 'unexpected-response')
    t.equal((response as IncomingMessage).statusCode, 429)
    t.equal((response as IncomingMessage).headers['retry-after'], '7')
    t.match((response as IncomingMessage).headers['x-request-id'], /./)
    t.equal(String(Buffer.concat(await (response as IncomingMessage).toArray())), 'too many')
    await waitFor(async () => (await connectionsOf(upstream.server)) === 0)
  })

  t.test('a refusal too long to be passed on is none: not an empty one in its place', async (t) => {
    const ws = connect('/v1/live/ws?refuse-at-length')
    ws.on('error', () => ws.terminate())
    const [, response] = await once(ws, 'unexpected-response')
    t.equal((response as IncomingMessage).statusCode, 502)
    t.match(String(Buffer.concat(await (response as IncomingMessage).toArray())), '"status":502')
    await waitFor(async () => (await connectionsOf(upstream.server)) === 0)
  })

  t.test('a 204 says no length (RFC 9110, 8.6)', async (t) => {
    const ws = connect('/v1/live/ws?refuse-without-content')
    ws.on('error', () => ws.terminate())
    const [, response] = (await once(ws, 'unexpected-response')) as [unknown, IncomingMessage]
    t.equal(response.statusCode, 204)
    t.equal(response.headers['content-length'], undefined)
    await once(response.resume(), 'end')
  })

  t.test('a message that is too large ends its connection', async (t) => {
    const ws = connect()
    await once(ws, 'message')
    const [there] = server.clients
    const closed = once(there!, 'close')
    const before = once(there!, 'message')
    ws.send('before')
    ws.send('x'.repeat(2_000))
    t.equal(String((await before)[0]), 'before', 'what came before it passes')
    t.equal((await once(ws, 'close'))[0], 1009)
    t.equal((await closed)[0], 1009, 'the service hears why')
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

t.test('WebSocket: the client is accepted when the service has accepted', async (t) => {
  const g = await startGateway(t)
  const upstream = await startUpstream(t, g.nc, LIVE)
  const waiting: (() => void)[] = []
  const server = new WebSocketServer({ noServer: true })
  t.teardown(() => server.close())
  const left: Duplex[] = []
  upstream.server.on('upgrade', (request, socket, head) => {
    socket.on('error', () => {})
    socket.once('close', () => left.push(socket))
    socket.once('end', () => socket.end()).resume()
    waiting.push(() => server.handleUpgrade(request, socket, head, (ws) => ws.send('first')))
  })
  await g.live('realtime', 1)

  const ws = open(g)
  let accepted = false
  ws.once('open', () => {
    accepted = true
  })
  await waitFor(() => waiting.length === 1)
  // Requests that came later are answered meanwhile.
  for (let i = 0; i < 3; i++) t.equal((await fetch(`${g.url}/v1/nothing`)).status, 404)
  t.equal(accepted, false)
  const message = once(ws, 'message')
  waiting[0]!()
  t.equal(String((await message)[0]), 'first', 'and what it says with its yes is not lost')
  t.equal(accepted, true)
  t.match(await g.metrics.text(), /request_duration_seconds_count\{[^}]*upstream="realtime"[^}]*status="101"[^}]*\} 1/)
  ws.terminate()
  await waitFor(() => left.length === 1)

  t.test('a client that leaves before takes its handshake with it', async () => {
    const second = open(g)
    second.on('error', () => {})
    await waitFor(() => waiting.length === 2)
    second.terminate()
    await waitFor(() => left.length === 2)
    await waitFor(async () => /skerry_gateway_streams\{[^}]*\} 0/.test(await g.metrics.text()))
  })

  t.test('a gateway that leaves tells those who wait', async (t) => {
    const third = open(g)
    third.on('error', () => third.terminate())
    await waitFor(() => waiting.length === 3)
    const refused = once(third, 'unexpected-response')
    await g.gateway.app.close()
    t.equal(((await refused)[1] as IncomingMessage).statusCode, 503)
  })
})

t.test('WebSocket: a handshake that fails is tried at another instance', async (t) => {
  const g = await startGateway(t, { env: { RETRY_BUDGET_BURST: '100', UPSTREAM_RETRIES: '4' } })
  for (const kind of ['reset', 'unavailable', 'liar', 'refuses'] as const) {
    const bad = await startUpstream(t, g.nc, LIVE)
    bad.server.on('upgrade', (_request, socket: Duplex) => {
      socket.on('error', () => {})
      if (kind === 'reset') socket.destroy()
      else if (kind === 'unavailable') socket.end('HTTP/1.1 503 Draining\r\ncontent-length: 0\r\n\r\n')
      else
        socket.end(
          'HTTP/1.1 101 Yes\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: bm90IHlvdXJzIGF0IGFsbCE=\r\n\r\n'
        )
    })
    if (kind === 'refuses') bad.server.close()
  }
  const good = await startUpstream(t, g.nc, LIVE)
  const server = new WebSocketServer({ server: good.server })
  server.on('connection', (ws) => ws.send('good'))
  await g.live('realtime', 5)
  for (let i = 0; i < 12; i++) {
    const ws = open(g)
    const answer = await Promise.race([once(ws, 'message'), once(ws, 'error')])
    t.equal(String(answer[0]), 'good')
    ws.terminate()
  }
  await good.close()
  server.close()
  const alone = open(g)
  alone.on('error', () => alone.terminate())
  const [, response] = await once(alone, 'unexpected-response')
  const { statusCode } = response as IncomingMessage
  t.ok(statusCode === 502 || statusCode === 503, `without it the answer is ${statusCode}`)
})

t.test('WebSocket: what is no handshake', async (t) => {
  const g = await startGateway(t)
  const upstream = await startUpstream(t, g.nc, LIVE)
  let asked = 0
  upstream.server.on('upgrade', (_request, socket: Duplex) => {
    asked++
    socket.destroy()
  })
  await g.live('realtime', 1)
  const shake = (headers: string) =>
    sendRaw(
      g.port,
      `GET /v1/live/ws HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\nauthorization: ${g.issuer.bearer().authorization}\r\n${headers}\r\n`
    )
  const old = await shake('sec-websocket-version: 8\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n')
  t.equal(old.status, 400)
  t.match(old.head, 'sec-websocket-version: 13')
  t.equal((await shake('sec-websocket-version: 13\r\nsec-websocket-key: short\r\n')).status, 400)
  t.equal((await shake('sec-websocket-version: 13\r\n')).status, 400)
  t.equal(asked, 0)
})

t.test('WebSocket: a handshake behind a request without its answer ends the connection', async (t) => {
  const g = await startGateway(t)
  let release = () => {}
  const upstream = await startUpstream(t, g.nc, {
    ...LIVE,
    answer: (_request, response) => {
      release = () => response.end('{}')
    }
  })
  let asked = 0
  upstream.server.on('upgrade', () => asked++)
  await g.live('realtime', 1)
  const token = g.issuer.bearer().authorization
  const socket = connectTcp(g.port, '127.0.0.1')
  const closed = once(socket, 'close')
  socket.resume()
  socket.write(
    `GET /v1/live HTTP/1.1\r\nhost: x\r\nauthorization: ${token}\r\n\r\nGET /v1/live/ws HTTP/1.1\r\nhost: x\r\nauthorization: ${token}\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n`
  )
  await closed
  release()
  t.equal(asked, 0)
})

t.test('WebSocket: whoever reads slowly slows the sender down', async (t) => {
  const g = await startGateway(t)
  const upstream = await startUpstream(t, g.nc, LIVE)
  const server = new WebSocketServer({ server: upstream.server })
  t.teardown(() => server.close())
  await g.live('realtime', 1)
  const { ws, there } = await openBoth(g, server)
  ws.pause()
  const part = Buffer.alloc(65_536, 'x')
  let sent = 0
  // Far more than all the buffers between the two hold.
  while (sent < 64 * 1024 * 1024) {
    there.send(part)
    sent += part.length
  }
  const buffered = () => there.bufferedAmount
  await waitFor(() => buffered() < sent)
  // Until nothing more of it has left while another client of the same gateway heard twenty answers.
  const other = await openBoth(g, server)
  other.there.on('message', (data) => other.there.send(data))
  for (let still = 0; still < 20; ) {
    const before = buffered()
    other.ws.send('x')
    await once(other.ws, 'message')
    still = buffered() === before ? still + 1 : 0
  }
  other.ws.terminate()
  t.ok(buffered() > sent / 2, 'most waits at the service, not in the gateway')
  let received = 0
  ws.on('message', (data: Buffer) => {
    received += data.length
  })
  ws.resume()
  await waitFor(() => received === sent, { message: 'all arrives' })
  t.equal(buffered(), 0)
  ws.terminate()
})

t.test('WebSocket: silence does not end it as it ends a kept connection', async (t) => {
  const g = await startGateway(t, { env: { KEEP_ALIVE_TIMEOUT_MS: '500' } })
  const upstream = await startUpstream(t, g.nc, LIVE)
  const server = new WebSocketServer({ server: upstream.server })
  t.teardown(() => server.close())
  await g.live('realtime', 1)
  const { ws, there } = await openBoth(g, server)
  // Each was opened later than the WebSocket and is ended for its silence, so the WebSocket has been looked at by then. The first look may
  // find bytes that came with the handshake.
  for (let i = 0; i < 2; i++) {
    const silent = connectTcp(g.port, '127.0.0.1')
    silent.write('GET /v1/nothing HTTP/1.1\r\nhost: x\r\n\r\n')
    await once(silent.resume(), 'close')
  }
  const message = once(ws, 'message')
  there.send('still here')
  t.equal(String((await message)[0]), 'still here')
  ws.terminate()
})

t.test('WebSocket: a service that dies is told to the client as that', async (t) => {
  const g = await startGateway(t)
  const upstream = await startUpstream(t, g.nc, LIVE)
  const server = new WebSocketServer({ server: upstream.server })
  t.teardown(() => server.close())
  await g.live('realtime', 1)
  const { ws, there } = await openBoth(g, server)
  const closed = once(ws, 'close')
  there.terminate()
  t.equal((await closed)[0], 1014)
})

function open(g: TestGateway): WebSocket {
  return new WebSocket(`${g.url.replace('http', 'ws')}/v1/live/ws`, { headers: { ...g.issuer.bearer() } })
}

/** A client that is connected, and its other end at the service. */
async function openBoth(g: TestGateway, server: WebSocketServer) {
  const connection = once(server, 'connection')
  const ws = open(g)
  const [[there]] = (await Promise.all([connection, once(ws, 'open')])) as [[WebSocket], unknown]
  return { ws, there }
}

function connectionsOf(server: import('node:http').Server): Promise<number> {
  return new Promise((resolve, reject) => server.getConnections((error, n) => (error ? reject(error) : resolve(n))))
}
