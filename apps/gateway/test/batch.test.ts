import { once } from 'node:events'
import type { RequestListener, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import type { BatchAnswer } from '@skerry/contracts'
import { buildServer, createLogger, createMetrics } from '@skerry/service'
import { waitFor } from '@skerry/testing'
import type { FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import { Agent, request } from 'undici'
import { readAloneConfig } from '../src/config.ts'
import { corsHeadersFor } from '../src/door/cors.ts'
import { createHeads } from '../src/head/heads.ts'
import { createBodyBudget } from '../src/listen/body-budget.ts'
import { batchRoute } from '../src/routes/batch.ts'
import { certificateFiles, talk } from './helpers/clients.ts'
import { startGateway } from './helpers/gateway.ts'
import { startUpstream } from './helpers/upstream.ts'

type Problem = { code: string; detail?: string }

t.test('a batch', async (t) => {
  const g = await startGateway(t, {
    env: {
      LIMIT_USER_BURST: '40',
      LIMIT_USER_PER_SECOND: '0.001',
      BATCH_ANSWER_LIMIT: '20000',
      BATCH_TIMEOUT_MS: '600000'
    }
  })
  // Answers of these wait for each other.
  const together: (() => void)[] = []
  const upstream = await startUpstream(t, g.nc, {
    // Nothing else is late, however busy the machine is.
    routes: [{ method: 'GET', path: '/v1/posts/never', auth: 'none', timeoutMs: 200 }],
    answer: (req, res) => {
      const path = req.url ?? ''
      if (path.includes('/broken')) return void req.socket.destroy()
      if (path.includes('/half')) {
        res.writeHead(200, { 'content-type': 'application/json', 'content-length': '100' }).write('{')
        return void setImmediate(() => req.socket.destroy())
      }
      if (path.includes('/text')) return void res.setHeader('content-type', 'text/plain').end('x')
      if (path.includes('/lie')) return void res.setHeader('content-type', 'application/json').end('{"x":')
      if (path.includes('/big'))
        return void res.setHeader('content-type', 'application/json').end(JSON.stringify('x'.repeat(30_000)))
      if (path.includes('/none')) return void res.writeHead(204).end()
      if (path.includes('/never')) return
      let body = ''
      req.on('data', (part) => {
        body += part
      })
      req.on('end', () => {
        const { authorization, 'x-forwarded-for': from, 'idempotency-key': key, 'if-none-match': known } = req.headers
        const type = req.headers['content-type']
        const send = () => {
          res.setHeader('content-type', 'application/json').setHeader('etag', '"1"')
          res.end(JSON.stringify({ path, method: req.method, body, authorization, from, key, known, type }))
        }
        if (!path.includes('together')) send()
        else if (together.push(send) === 2) for (const one of together) one()
      })
    }
  })
  await g.live('content', 1)
  const batch = async (requests: unknown, headers: Record<string, string> = {}) => {
    const answer = await fetch(`${g.url}/v1/batch`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify({ requests })
    })
    return { status: answer.status, body: (await answer.json()) as Problem & { responses: BatchAnswer[] } }
  }
  const get = (path: string, more: object = {}) => ({ method: 'GET', path, ...more })

  t.test('a request that announces a body and has none is refused at once', async (t) => {
    for (const type of ['content-type: application/json\r\n', '']) {
      const head = `POST /v1/batch HTTP/1.1\r\nhost: x\r\n${type}connection: close\r\n\r\n`
      t.match(await talk(Number(new URL(g.url).port), head), /^HTTP\/1\.1 400 .*"code":"BAD_REQUEST".*"path":"body"/s)
    }
  })

  t.test('runs its requests side by side, as their sender', async (t) => {
    const bearer = g.issuer.bearer()
    const { status, body } = await batch(
      [
        get('/v1/posts?together=1', { id: 'a', headers: { 'If-None-Match': '"7"' } }),
        { method: 'POST', path: '/v1/posts?together=1', body: { text: 'x' }, headers: { 'idempotency-key': 'k' } },
        get('/v1/posts/none', { id: 'c' })
      ],
      { ...bearer, 'x-forwarded-for': '6.6.6.6' }
    )
    t.equal(status, 200)
    t.match(body.responses, [
      { id: 'a', status: 200, body: { path: '/v1/posts?together=1', ...bearer, known: '"7"', from: '127.0.0.1' } },
      { status: 200, headers: { etag: '"1"' }, body: { method: 'POST', body: '{"text":"x"}', key: 'k', ...bearer } },
      { id: 'c', status: 204, body: null }
    ])
    t.not(body.responses[0]?.headers['x-request-id'], body.responses[1]?.headers['x-request-id'])
  })

  t.test('one may send another type of JSON', async (t) => {
    const type = 'application/merge-patch+json'
    const edit = { method: 'PATCH', path: '/v1/posts/1', body: { title: null } }
    const { body } = await batch([edit, { ...edit, headers: { 'content-type': type } }], g.issuer.bearer())
    t.match(body.responses, [
      { status: 200, body: { method: 'PATCH', body: '{"title":null}', type: 'application/json' } },
      { status: 200, body: { method: 'PATCH', body: '{"title":null}', type } }
    ])
    const nulls = { method: 'GET', path: '/v1/posts/1', id: null, headers: null, body: null }
    t.match((await batch([nulls], g.issuer.bearer())).body.responses, [{ status: 200, body: { body: '' } }])
  })

  t.test('what fails one fails no other', async (t) => {
    const bearer = g.issuer.bearer()
    const paths = [
      '/v1/posts/broken',
      '/v1/posts/half',
      '/v1/posts/text',
      '/v1/posts/lie',
      '/v1/posts/big',
      '/v1/nowhere'
    ]
    const { status, body } = await batch(
      [
        ...paths.map((path) => get(path)),
        get('/v1/posts/never'),
        get('/v1/batch'),
        get('/v1/posts/../users'),
        get('/v1/posts', { headers: { authorization: 'Bearer x' } }),
        get('/v1/posts/fine')
      ],
      bearer
    )
    t.equal(status, 200)
    const statuses = body.responses.map((one) => one.status)
    t.strictSame(statuses, [502, 502, 502, 502, 502, 404, 504, 400, 400, 400, 200])
    t.match(body.responses.at(-1)?.body, { path: '/v1/posts/fine' })
    t.match(body.responses.at(-2)?.body, { code: 'BAD_REQUEST', detail: /authorization/ })
  })

  t.test('no header is more than one', async (t) => {
    const before = upstream.requests.length
    for (const value of [
      'a\r\nx-user-id: root',
      'a\nb: c',
      'de\u010d\u010ax-user-id: root',
      'x\r\n\r\nGET /v1/posts HTTP/1.1'
    ])
      for (const name of ['accept', 'content-type', 'if-match'])
        t.match((await batch([get('/v1/posts', { headers: { [name]: value } })])).body.responses, [{ status: 400 }])
    t.equal(upstream.requests.length, before)
  })

  t.test('each request counts for its own limit', async (t) => {
    const bearer = g.issuer.bearer()
    // 40, of which the batches take one each.
    const first = await batch(
      Array.from({ length: 20 }, () => get('/v1/posts')),
      bearer
    )
    t.ok(first.body.responses.every((one) => one.status === 200))
    const second = await batch(
      Array.from({ length: 20 }, () => get('/v1/posts')),
      bearer
    )
    t.equal(second.body.responses.filter((one) => one.status === 200).length, 18)
    const refused = second.body.responses.filter((one) => one.status === 429)
    t.equal(refused.length, 2)
    t.ok(Number(refused[0]?.headers['retry-after']) > 0)
    t.equal((await batch([get('/v1/posts')], bearer)).status, 429, 'and the batch itself')
  })

  t.test('bad batches are told where they are wrong', async (t) => {
    t.match(await batch([]), { status: 400, body: { errors: [{ path: 'body.requests' }] } })
    t.match(await batch(Array.from({ length: 21 }, () => get('/v1/posts'))), { status: 400 })
    t.match(await batch([get('v1/posts')]), { status: 400, body: { errors: [{ path: 'body.requests.0.path' }] } })
    t.match(await batch([{ ...get('/v1/posts'), method: 'TRACE' }]), { status: 400 })
    t.equal((await batch([get('/v1/posts')], { authorization: 'Bearer nonsense' })).status, 401)
  })

  t.test('ends with its client', async (t) => {
    const stop = new AbortController()
    const before = upstream.requests.length
    const asked = fetch(`${g.url}/v1/batch`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ requests: [get('/v1/posts/nevermore')] }),
      signal: stop.signal
    })
    await waitFor(() => upstream.requests.length === before + 1)
    const seen = upstream.requests.at(-1)
    stop.abort()
    await t.rejects(asked, { name: 'AbortError' })
    await waitFor(() => seen?.socket.destroyed)
  })
})

t.test('what does not end by itself, or soon, loses nothing of the others', async (t) => {
  const g = await startGateway(t, { env: { BATCH_TIMEOUT_MS: '500' } })
  const upstream = await startUpstream(t, g.nc, {
    prefixes: ['/v1/posts', '/v1/live'],
    routes: [{ method: 'GET', path: '/v1/live', auth: 'optional', stream: true }],
    answer: (req, res) => {
      const type = req.url === '/v1/posts/events' ? 'text/event-stream' : 'application/json'
      res.setHeader('content-type', type)
      if (req.url === '/v1/posts/1') res.end('{}')
      // Begun in time, and never ended.
      else res.writeHead(200).write('{')
    }
  })
  await g.live('content', 1)
  const answer = await fetch(`${g.url}/v1/batch`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      requests: ['/v1/live', '/v1/posts/events', '/v1/posts/endless', '/v1/posts/1'].map((path) => ({
        method: 'GET',
        path
      }))
    })
  })
  t.equal(answer.status, 200)
  const { responses } = (await answer.json()) as { responses: BatchAnswer[] }
  t.strictSame(
    responses.map((one) => one.status),
    [400, 502, 504, 200]
  )
  t.notOk(upstream.requests.some(({ url }) => url === '/v1/live'))
})

t.test('all answers of a batch have one bound of bytes', async (t) => {
  const g = await startGateway(t, { env: { BATCH_ANSWER_LIMIT: '1000000', BATCH_TIMEOUT_MS: '600000' } })
  const open: ServerResponse[] = []
  let cut = 0
  await startUpstream(t, g.nc, {
    answer: (_req, res) => {
      res.once('close', () => {
        if (!res.writableEnded) cut++
      })
      res.setHeader('content-type', 'application/json')
      res.write(`"${'x'.repeat(99_999)}`)
      open.push(res)
    }
  })
  await g.live('content', 1)
  const asked = fetch(`${g.url}/v1/batch`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      requests: Array.from({ length: 20 }, (_, i) => ({ method: 'GET', path: `/v1/posts/${i}` }))
    })
  })
  await waitFor(() => open.length === 20)
  // Twenty tenths have come, of which ten fit.
  await waitFor(() => cut >= 10)
  for (const res of open) res.end('"')
  const { responses } = (await (await asked).json()) as { responses: BatchAnswer[] }
  const statuses = responses.map((one) => one.status)
  t.ok(statuses.filter((status) => status === 200).length >= 9, 'those that fit are answered')
  t.ok(statuses.filter((status) => status === 502).length >= 10)
})

t.test('the answers of all batches together have a bound of bytes: the newest are refused', async (t) => {
  const g = await startGateway(t, { env: { BATCHES_BYTES: '250000', BATCH_TIMEOUT_MS: '600000' } })
  const open: ServerResponse[] = []
  let held = true
  await startUpstream(t, g.nc, {
    answer: (_req, res) => {
      res.setHeader('content-type', 'application/json')
      res.write(`"${'x'.repeat(99_999)}`)
      if (held) open.push(res)
      else res.end('"')
    }
  })
  await g.live('content', 1)
  const batch = async (count: number) => {
    const answer = await fetch(`${g.url}/v1/batch`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({
        requests: Array.from({ length: count }, (_, i) => ({ method: 'GET', path: `/v1/posts/${i}` }))
      })
    })
    return ((await answer.json()) as { responses: BatchAnswer[] }).responses
  }
  const first = batch(2)
  await waitFor(() => open.length === 2)
  t.match(await batch(1), [{ status: 503, headers: { 'retry-after': '1' }, body: { code: 'UNAVAILABLE' } }])
  t.match(await g.metrics.text(), /skerry_gateway_bounds_total\{[^}]*bound="BATCHES_BYTES"[^}]*\} 1\n/)
  for (const res of open) res.end('"')
  t.match(await first, [{ status: 200 }, { status: 200 }], 'those before it are answered')
  held = false
  // Their client knows that they are over a moment before.
  await waitFor(async () => (await batch(2)).every(({ status }) => status === 200), { message: 'and then others' })
})

t.test('services are told that a batch came by TLS', async (t) => {
  const { files, write } = await certificateFiles(t)
  await write('localhost')
  const g = await startGateway(t, { env: files })
  await startUpstream(t, g.nc, {
    answer: (req, res) =>
      res.setHeader('content-type', 'application/json').end(JSON.stringify(req.headers['x-forwarded-proto']))
  })
  await g.live('content', 1)
  const dispatcher = new Agent({ connect: { rejectUnauthorized: false } })
  t.teardown(() => dispatcher.close())
  const { body } = await request(`https://127.0.0.1:${g.port}/v1/batch`, {
    dispatcher,
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ requests: [{ method: 'GET', path: '/v1/posts' }] })
  })
  t.match(await body.json(), { responses: [{ status: 200, body: 'https' }] })
})

t.test('a batch has a time, which its requests share', async (t) => {
  const g = await startGateway(t, { env: { BATCH_TIMEOUT_MS: '300', UPSTREAM_HEADERS_TIMEOUT_MS: '600000' } })
  await startUpstream(t, g.nc, { answer: () => undefined })
  await g.live('content', 1)
  const answer = await fetch(`${g.url}/v1/batch`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      requests: [
        { method: 'GET', path: '/v1/posts/1' },
        { method: 'GET', path: '/v1/posts/2' }
      ]
    })
  })
  t.equal(answer.status, 200)
  const late = {
    status: 504,
    headers: { 'x-request-id': /./, 'x-content-type-options': 'nosniff', ratelimit: /./ },
    body: { code: 'TIMEOUT' }
  }
  t.match(await answer.json(), { responses: [late, late] }, 'each with what the gateway knows of it')
})

t.test('however slowly a batch comes, what its time is too short for is 504 of its requests', async (t) => {
  const g = await startGateway(t, { env: { BATCH_TIMEOUT_MS: '600000', UPSTREAM_HEADERS_TIMEOUT_MS: '600000' } })
  await startUpstream(t, g.nc, { answer: () => undefined })
  await g.live('content', 1)
  const slowly = async (deadline: number, pause: number) => {
    const answer = await request(`${g.url}/v1/batch`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-skerry-deadline': String(deadline) },
      body: Readable.from(
        (async function* () {
          yield '{"requests":[{"method":"GET","path":"/v1/posts/1"},'
          await sleep(pause)
          yield '{"method":"GET","path":"/v1/posts/2"}]}'
        })()
      )
    })
    return { status: answer.statusCode, body: await answer.body.json() }
  }
  const late = { status: 504, body: { code: 'TIMEOUT' } }
  t.match(await slowly(1_000, 300), { status: 200, body: { responses: [late, late] } }, 'its time ends while they run')
  t.match(await slowly(100, 300), { status: 200, body: { responses: [late, late] } }, 'its time is over before')
})

/** The route alone, on an app of its own whose requests of batches `entry` answers. */
async function startRoute(t: Test, entry: RequestListener, prepare: (app: FastifyInstance) => void = () => undefined) {
  const config = readAloneConfig({ ROUTES: '/feed=http://127.0.0.1:1' })
  const metrics = createMetrics({ service: 'gateway', instance: '1', processMetrics: false })
  const logger = createLogger({ service: 'gateway', instance: '1', level: 'silent' })
  const app = buildServer({ name: 'gateway', config, metrics, logger })
  const room = createBodyBudget({ total: 1_000_000, perAddress: 1_000_000 })
  prepare(app)
  batchRoute(app, {
    entry,
    heads: createHeads({ corsHeaders: corsHeadersFor('*') }),
    onAnswered: () => undefined,
    isStream: () => false,
    urlLimit: config.URL_LIMIT,
    timeoutMs: 600_000,
    bodyMs: 600_000,
    answerLimit: 1_000_000,
    room,
    shareOf: (address) => address,
    onBound: () => undefined
  })
  await app.listen({ host: '127.0.0.1', port: 0 })
  t.teardown(() => app.close())
  const { port } = app.server.address() as AddressInfo
  const batch = (paths: string[], headers: Record<string, string> = {}) =>
    fetch(`http://127.0.0.1:${port}/v1/batch`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify({ requests: paths.map((path) => ({ method: 'GET', path })) })
    })
  return { room, batch }
}

t.test('a client that has gone before its batch begins holds nothing', async (t) => {
  let asked = 0
  let over = 0
  const entry: RequestListener = (_request, response) => {
    asked++
    response.setHeader('content-type', 'application/json').write('"x')
    response.end('"')
  }
  const { room, batch } = await startRoute(t, entry, (app) => {
    app.addHook('onRequest', async (_request, reply) => {
      reply.raw.once('close', () => over++)
    })
    app.addHook('preHandler', async ({ raw }, reply) => {
      if (raw.headers['x-leaves'] === undefined) return
      const gone = once(reply.raw, 'close')
      raw.socket.destroy()
      await gone
    })
  })
  await t.rejects(batch(['/v1/posts'], { 'x-leaves': '1' }))
  t.match(await (await batch(['/v1/posts'])).json(), { responses: [{ status: 200, body: 'x' }] })
  await waitFor(() => over === 2)
  t.equal(asked, 1, 'nobody is asked for it')
  await waitFor(() => room.bytes === 0)
})
