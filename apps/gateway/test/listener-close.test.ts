import { once } from 'node:events'
import { Agent, get, type IncomingMessage, type ServerResponse } from 'node:http'
import { constants } from 'node:http2'
import { type AddressInfo, connect } from 'node:net'
import { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { buildServer, createMetrics } from '@skerry/service'
import { waitFor } from '@skerry/testing'
import t, { type Test } from 'tap'
import { readConfig } from '../src/config.ts'
import { corsHeadersFor } from '../src/door/cors.ts'
import { createHeads } from '../src/head/heads.ts'
import { createListener } from '../src/listen/listener.ts'
import { createParserRefusal } from '../src/listen/parser-refusal.ts'
import { ask, certificateFiles, openSession, talk } from './helpers/clients.ts'
import { echo, startListener } from './helpers/listener.ts'

/** A Fastify and a plain handler ahead of it, on one listener with TLS and without. */
async function startBoth(t: Test) {
  const { files, write } = await certificateFiles(t)
  const { cert } = await write('both')
  const config = readConfig({
    NATS_URL: 'nats://unused',
    NATS_USER: 'x',
    NATS_PASSWORD: 'x',
    LOG_LEVEL: 'silent',
    TLS_ONLY: 'false',
    ...files
  })
  const held: ServerResponse[] = []
  let toFastify: ((request: IncomingMessage, response: ServerResponse) => void) | undefined
  const listener = await createListener({
    config,
    handler: (request, response) => {
      if (request.url?.startsWith('/own') === true) toFastify!(request, response)
      else if (request.url === '/held') held.push(response)
      else echo(request, response)
    },
    clientError: createParserRefusal(createHeads({ corsHeaders: corsHeadersFor('*') }))
  })
  const app = buildServer({
    name: 'gateway',
    config,
    metrics: createMetrics({ service: 'gateway', instance: '1', processMetrics: false }),
    serverFactory: (handler) => {
      toFastify = handler
      return listener.server
    }
  })
  app.get('/own/hello', (request, reply) => reply.header('x-host', request.headers.host).send({ ip: request.ip }))
  app.post('/own/echo', (request) => request.body)
  app.get('/own/stream', (_request, reply) => reply.type('text/plain').send(Readable.from(['a', 'b', 'c'])))
  app.get('/own/broken', () => {
    throw new Error('not for clients')
  })
  await app.listen({ host: '127.0.0.1', port: 0 })
  t.teardown(async () => {
    listener.server.closeAllConnections()
    await app.close()
  })
  return { app, listener, held, cert, port: (listener.server.address() as AddressInfo).port }
}

t.test('Fastify and a plain handler', async (t) => {
  const { port, cert } = await startBoth(t)
  for (const scheme of ['http', 'https']) {
    const session = openSession(t, `${scheme}://127.0.0.1:${port}`, { ca: cert })
    const hello = await ask(session, { ':path': '/own/hello' })
    t.match(hello, { status: 200, headers: { 'x-host': `127.0.0.1:${port}` }, body: '{"ip":"127.0.0.1"}' })
    t.match(hello.headers['x-request-id'], /./)
    const head = await ask(session, { ':path': '/own/hello', ':method': 'HEAD' })
    t.match(head, { status: 200, body: '' })
    const json = { ':method': 'POST', ':path': '/own/echo', 'content-type': 'application/json' }
    t.match(await ask(session, json, '{"a":[1,2]}'), { status: 200, body: '{"a":[1,2]}' })
    t.match(await ask(session, json, '{"a":'), { status: 400 })
    t.match(await ask(session, json, `"${'x'.repeat(1_100_000)}"`), { status: 413 })
    t.match(await ask(session, { ':path': '/own/stream' }), { status: 200, body: 'abc' })
    const broken = await ask(session, { ':path': '/own/broken' })
    t.equal(broken.status, 500)
    t.notMatch(broken.body, /not for clients/)
    t.equal((await ask(session, { ':path': '/own/nothing' })).status, 404)
    t.match((await ask(session, { ':path': '/other' })).body, /"url":"\/other"/)
  }
  t.match(await talk(port, 'GET /own/hello HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n'), /x-host: h/)
  const upload = openSession(t, `http://127.0.0.1:${port}`)
  const stream = upload.request({ ':method': 'POST', ':path': '/own/echo', 'content-type': 'application/json' })
  stream.on('error', () => {})
  stream.write('{"a":')
  stream.close(constants.NGHTTP2_CANCEL)
  await once(stream, 'close')
  t.equal((await ask(upload, { ':path': '/own/hello' })).status, 200, 'one that was cut off harms nobody')
})

t.test('closing loses no request under way', async (t) => {
  const { app, listener, held, cert, port } = await startBoth(t)
  const sessions = ['http', 'https'].map((scheme) => openSession(t, `${scheme}://127.0.0.1:${port}`, { ca: cert }))
  const idle = openSession(t, `http://127.0.0.1:${port}`)
  await ask(idle)
  const goaways: number[] = []
  for (const session of sessions) session.on('goaway', (code, last) => goaways.push(code, last))
  const agent = new Agent({ keepAlive: true })
  t.teardown(() => agent.destroy())
  const answers = sessions.map((session) => ask(session, { ':path': '/held' }))
  const kept = once(get(`http://127.0.0.1:${port}/held`, { agent }), 'response')
  await waitFor(() => held.length === 3)
  const newcomer = connect(port, '127.0.0.1')
  const [accepted] = await Promise.all([once(listener.server, 'connection'), once(newcomer, 'connect')])
  t.ok(accepted)

  let done = false
  const closed = app.close().then(() => {
    done = true
  })
  // It came before the end, and what it asks is on its way.
  newcomer.write('GET /v1/x HTTP/1.1\r\nhost: x\r\n\r\n')
  t.match(await text(newcomer), /^HTTP\/1\.1 200 /)
  await waitFor(() => goaways.length === 4 && idle.destroyed)
  t.strictSame(goaways, [0, 1, 0, 1], 'NO_ERROR and the last stream that was taken')
  t.equal(done, false)
  await t.rejects(once(connect(port, '127.0.0.1'), 'connect'), { code: 'ECONNREFUSED' })
  for (const response of held) response.writeHead(200, ['content-type', 'text/plain']).end('done')
  for (const answer of await Promise.all(answers)) t.match(answer, { status: 200, body: 'done' })
  const [response] = (await kept) as [IncomingMessage]
  t.equal(await text(response), 'done')
  await closed
  // Over TLS a connection is told to be closed after the socket below it.
  await waitFor(() => listener.http2Connections() === 0)
  await listener.close()
  t.pass('and closing again is nothing')
})

t.test('what does not end is broken off after H2_DRAIN_MS', async (t) => {
  let open = 0
  let broken = 0
  const { listener, port, ended } = await startListener(t, {
    env: { H2_DRAIN_MS: '50' },
    handler: (_request, response) => {
      open++
      response.on('close', () => broken++)
      response.writeHead(200, ['content-type', 'text/event-stream'])
      response.flushHeaders()
    }
  })
  const session = openSession(t, `http://127.0.0.1:${port}`)
  const stream = session.request({ ':path': '/v1/live' })
  stream.on('error', () => {})
  await once(stream, 'response')
  await listener.close()
  t.equal(open, 1)
  await waitFor(() => broken === 1)
  t.strictSame(ended, ['drained'])
})

t.test('a gateway that is leaving tells its clients with their next answer', async (t) => {
  let leaving = false
  const { port } = await startListener(t, { draining: () => leaving })
  const session = openSession(t, `http://127.0.0.1:${port}`)
  t.equal((await ask(session)).status, 200)
  leaving = true
  const goaway = once(session, 'goaway')
  t.equal((await ask(session)).status, 200, 'this one is answered')
  t.match(await goaway, [constants.NGHTTP2_NO_ERROR, 3])
  await waitFor(() => session.destroyed)
  t.equal((await ask(openSession(t, `http://127.0.0.1:${port}`))).status, 200, 'and so are new ones')
})
