import { connect } from 'node:net'
import { SkerryError } from '@skerry/contracts'
import { waitFor } from '@skerry/testing'
import t from 'tap'
import { isUnavailable, route, toSkerryError } from '../src/index.ts'
import { MapStore } from './support/map-store.ts'
import { createServer, widget, widgetRoutes } from './support/server.ts'

/** An error as a driver throws it: what is known of it is its name, its code and its labels. */
function driverError(name: string, more: object = {}): Error {
  const error = new Error('failed on mongodb://root:hunter2@db-1.internal:27017/?x: connection refused')
  return Object.assign(error, { name }, more)
}

const away: Error[] = [
  driverError('MongoNetworkError'),
  driverError('MongoNetworkTimeoutError'),
  driverError('MongoServerSelectionError'),
  driverError('MongoNotConnectedError'),
  driverError('MongoPoolClearedError'),
  driverError('MongoWaitQueueTimeoutError'),
  driverError('MongoOperationTimeoutError'),
  driverError('MongoServerError', { code: 10107 }),
  driverError('MongoServerError', { code: 50 }),
  driverError('MongoServerError', { code: 14031 }),
  driverError('MongoServerError', { code: 1, hasErrorLabel: (l: string) => l === 'TransientTransactionError' }),
  driverError('TimeoutError'),
  driverError('ClosedConnectionError'),
  driverError('NoResponders'),
  driverError('MaxRetriesPerRequestError'),
  driverError('Error', { code: 'ECONNREFUSED' }),
  new Error('wrapped', { cause: driverError('MongoNetworkError') }),
  AbortSignal.abort(new DOMException('x', 'TimeoutError')).reason as Error
]
const ours: unknown[] = [
  driverError('MongoServerError', { code: 11000 }),
  driverError('MongoServerError', { code: 2 }),
  driverError('MongoBulkWriteError', { code: 11000 }),
  driverError('MongoInvalidArgumentError'),
  driverError('MongoAPIError'),
  driverError('MongoRuntimeError'),
  new TypeError('x is not a function'),
  'a string',
  undefined,
  null
]

t.test('what is away is told from what is our fault', async (t) => {
  for (const error of away) t.ok(isUnavailable(error), error.name)
  for (const error of ours) t.notOk(isUnavailable(error), String(error))
  for (const error of away) t.match(toSkerryError(error), { code: 'UNAVAILABLE', status: 503, retryAfter: 1 })
  for (const error of ours) t.match(toSkerryError(error), { code: 'INTERNAL', status: 500 })
})

t.test('over HTTP nothing of a driver or a stack is sent, and the log has it without credentials', async (t) => {
  const { app, lines } = createServer(t)
  let thrown: unknown
  route(app, widgetRoutes.list, async () => {
    throw thrown
  })
  const get = async (error: unknown) => {
    thrown = error
    lines.length = 0
    return app.inject('/v1/widgets?q=private')
  }
  const unavailable = await get(away[0])
  t.equal(unavailable.statusCode, 503)
  t.equal(unavailable.headers['retry-after'], '1')
  const internal = await get(ours[0])
  t.equal(internal.statusCode, 500)
  for (const answer of [unavailable, internal]) {
    t.equal(answer.headers['content-type'], 'application/problem+json; charset=utf-8')
    t.notMatch(answer.body, /mongo|hunter2|internal:|at /i)
  }
  const logged = JSON.stringify(lines)
  t.match(lines, [
    { level: 50, requestId: internal.headers['x-request-id'], err: { stack: String }, url: '/v1/widgets' }
  ])
  t.notMatch(logged, /hunter2|private/)
  t.match(logged, /db-1\.internal/)

  const synchronous = createServer(t)
  route(synchronous.app, widgetRoutes.list, () => {
    throw new Error('at once')
  })
  t.equal((await synchronous.app.inject('/v1/widgets')).statusCode, 500)
})

t.test('a SkerryError is sent as it is: status, detail, errors, headers, Retry-After', async (t) => {
  const { app, lines } = createServer(t)
  const errors = [{ path: 'body.x', code: 'y', message: 'z' }]
  route(app, widgetRoutes.list, async () => {
    throw new SkerryError('RATE_LIMITED', { detail: 'Slow down.', errors, retryAfter: 2.2, headers: { 'x-more': '1' } })
  })
  const answer = await app.inject({ url: '/v1/widgets', headers: { 'x-request-id': 'request-1' } })
  t.equal(answer.statusCode, 429)
  t.match(answer.headers, { 'retry-after': '3', 'x-more': '1', 'x-request-id': 'request-1' })
  t.same(answer.json(), {
    type: 'urn:skerry:error:rate-limited',
    title: 'Too many requests',
    status: 429,
    code: 'RATE_LIMITED',
    detail: 'Slow down.',
    requestId: 'request-1',
    errors
  })
  t.notOk(
    lines.some((line) => Number(line.level) > 20),
    'a refusal is no error of ours'
  )
})

t.test('a client that breaks off in the middle of its request fills no log', async (t) => {
  const { app, lines } = createServer(t, { idempotency: new MapStore() })
  route(app, { ...widgetRoutes.create, auth: 'none' }, () => widget)
  let begun = 0
  app.addHook('onRequest', (_request, _reply, done) => {
    begun++
    done()
  })
  const url = new URL(await app.listen({ host: '127.0.0.1', port: 0 }))
  for (let i = 0; i < 3; i++) {
    const socket = connect(Number(url.port), url.hostname)
    socket.write(
      'POST /v1/widgets HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{"na'
    )
    await waitFor(() => begun > i)
    socket.resetAndDestroy()
    await waitFor(async () => (await connections(app)) === 0)
  }
  t.equal((await fetch(url)).status, 404)
  t.same(
    lines.filter((line) => Number(line.level) > 30),
    []
  )
})

function connections(app: ReturnType<typeof createServer>['app']): Promise<number> {
  return new Promise((resolve) => app.server.getConnections((_error, count) => resolve(count)))
}
