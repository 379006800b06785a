import t from 'tap'
import { continueTrace, createLogger, requestIdFrom, route } from '../src/index.ts'
import { createServer, createTokens, USER, widget, widgetRoutes } from './support/server.ts'

t.test('a request’s lines carry service, instance, request, trace and user', async (t) => {
  const tokens = await createTokens()
  const { app, lines } = createServer(t, { identity: tokens.identity })
  route(app, widgetRoutes.get, async ({ request }) => {
    request.log.info({ widget: 'w1' }, 'looked up')
    request.log.child({ more: 1 }).warn('and more')
    return widget
  })
  const headers = {
    authorization: `Bearer ${await tokens.sign()}`,
    'x-request-id': 'request-1',
    traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00'
  }
  await app.inject({ url: '/v1/widgets/w1', headers })
  const expected = {
    service: 'widgets',
    instance: '1',
    requestId: 'request-1',
    traceId: '0af7651916cd43dd8448eb211c80319c',
    userId: USER
  }
  t.match(lines, [
    { ...expected, level: 30, msg: 'looked up', widget: 'w1' },
    { ...expected, level: 40, msg: 'and more', more: 1 }
  ])
})

t.test('secrets are censored wherever they are put', async (t) => {
  const lines: string[] = []
  const log = createLogger(
    { service: 'x', instance: '1', level: 'info' },
    { write: (line: string) => lines.push(line) }
  )
  const secrets = {
    authorization: 'hunter2',
    cookie: 'hunter2',
    password: 'hunter2',
    accessToken: 'hunter2',
    refreshToken: 'hunter2'
  }
  log.info({ ...secrets, headers: secrets, deep: { er: secrets } }, 'x')
  log.error({ err: new Error('at redis://user:hunter2@host:1/') }, 'x')
  t.equal(lines.length, 2)
  t.notMatch(lines.join(''), /hunter2/)
})

t.test('a trace goes on or begins', async (t) => {
  const parent = 'b7ad6b7169203331'
  const id = '0af7651916cd43dd8448eb211c80319c'
  const on = continueTrace(`00-${id}-${parent}-00`)
  t.match(on, { traceId: id, parentId: parent })
  t.match(on.traceparent, new RegExp(`^00-${id}-[0-9a-f]{16}-00$`))
  t.not(on.spanId, parent)
  t.equal(continueTrace(`01-${id}-${parent}-01-more`).traceId, id, 'a later version')
  const bad = [
    undefined,
    '',
    'x',
    `ff-${id}-${parent}-01`,
    `00-${'0'.repeat(32)}-${parent}-01`,
    `00-${id}-${'0'.repeat(16)}-01`,
    `00-${id.toUpperCase()}-${parent}-01`,
    `00-${id}-${parent}`
  ]
  const fresh = new Set(bad.map((header) => continueTrace(header).traceId))
  t.equal(fresh.size, bad.length)
  for (const traceId of fresh) t.match(traceId, /^(?!0af7)[0-9a-f]{32}$/)
})

t.test('generated ids do not repeat', async (t) => {
  const ids = new Set(Array.from({ length: 2000 }, () => requestIdFrom(undefined)))
  t.equal(ids.size, 2000)
  const spans = new Set(Array.from({ length: 2000 }, () => continueTrace(undefined).traceparent))
  t.equal(spans.size, 2000)
})
