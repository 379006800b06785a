import { setTimeout as sleep } from 'node:timers/promises'
import { SkerryError } from '@skerry/contracts'
import t, { type Test } from 'tap'
import { type CallContext, route } from '../src/index.ts'
import { MapStore } from './support/map-store.ts'
import { createServer, createTokens, widget, widgetRoutes } from './support/server.ts'

const tokens = await createTokens()
const bearer = async (sub: string) => ({ authorization: `Bearer ${await tokens.sign({ sub })}` })
const [ADA, BOB] = ['01h0000000000000000000ada1', '01h0000000000000000000b0b1']
const ada = await bearer(ADA)
const bob = await bearer(BOB)

type Create = (name: string, call: CallContext) => Promise<typeof widget>

function serve(t: Test, create: Create) {
  const store = new MapStore()
  const { app } = createServer(t, { identity: tokens.identity, idempotency: store })
  let runs = 0
  route(app, widgetRoutes.create, async ({ body, call }) => {
    runs++
    return create(body.name, call)
  })
  const post = (key: string | undefined, payload: object = { name: 'a' }, headers: object = ada) =>
    app.inject({
      method: 'POST',
      url: '/v1/widgets',
      payload,
      headers: { ...headers, ...(key === undefined ? {} : { 'idempotency-key': key }) }
    })
  return { app, store, post, runs: () => runs }
}

const plain: Create = async (name) => ({ ...widget, name })

t.test('the first answer is kept and replayed, byte for byte', async (t) => {
  const { post, runs } = serve(t, async (name) => ({ ...widget, name, id: `w${Math.random()}` }))
  const first = await post('key-1')
  const again = await post('key-1')
  t.equal(first.statusCode, 201)
  t.notOk(first.headers['idempotency-replayed'])
  t.equal(again.statusCode, 201)
  t.equal(again.body, first.body)
  t.equal(again.headers['idempotency-replayed'], 'true')
  t.equal(again.headers['content-type'], first.headers['content-type'])
  t.not(again.headers['x-request-id'], first.headers['x-request-id'])
  t.equal(runs(), 1)
  await post('key-2')
  await post(undefined)
  await post(undefined)
  t.equal(runs(), 4, 'without a key every request runs')
})

t.test('keys are of one caller and of one route', async (t) => {
  const { post, runs, store } = serve(t, plain)
  for (const headers of [ada, bob, {}]) t.equal((await post('same', { name: 'a' }, headers)).statusCode, 201)
  t.equal(runs(), 3)
  t.same(
    [...store.records.values()].map((record) => record.bucketOf),
    [ADA, BOB, undefined]
  )
  for (const id of store.records.keys()) t.match(id, /^[\w-]{43}$/)
})

t.test('strangers who choose the same key do not meet', async (t) => {
  const { post, runs } = serve(t, plain)
  t.match((await post('1', { name: 'a' }, {})).json(), { name: 'a' })
  const other = await post('1', { name: 'b' }, {})
  t.match(other.json(), { name: 'b' })
  t.equal((await post('1', { name: 'a' }, {})).headers['idempotency-replayed'], 'true', 'a repeat is one')
  t.equal(runs(), 2)
})

t.test('a secret answer is not kept: a repeat makes it anew', async (t) => {
  const store = new MapStore()
  const { app } = createServer(t, { identity: tokens.identity, idempotency: store })
  let asked = 0
  route(app, widgetRoutes.create, () => ({ ...widget, note: 'secret 0' }), {
    replay: {
      keep: ({ id, owner }) => ({ owner: owner.id, kept: { id } }),
      async again(kept) {
        t.same(kept, { id: 'w1' })
        asked++
        if (asked === 2) throw new SkerryError('CONFLICT')
        return { ...widget, note: `secret ${asked}` }
      }
    }
  })
  const post = () =>
    app.inject({
      method: 'POST',
      url: '/v1/widgets',
      payload: { name: 'a' },
      headers: { 'idempotency-key': 'key' }
    })
  t.match((await post()).json(), { note: 'secret 0' })
  const [record] = store.records.values()
  t.match(record, { bucketOf: 'u1', answer: { status: 201, body: '{"id":"w1"}' } }, 'of whom it is, and no secret')
  const again = await post()
  t.match(again, { statusCode: 201, headers: { 'idempotency-replayed': 'true' } })
  t.equal(again.json().note, 'secret 1')
  t.equal((await post()).statusCode, 409, 'it may be refused by now')
})

t.test('another body for the same key is 422; order, white space and escapes are no other body', async (t) => {
  const { post, runs, app } = serve(t, plain)
  await post('key', { name: 'a', tags: ['b'], size: 1 })
  const other = await post('key', { name: 'b' })
  t.equal(other.statusCode, 422)
  t.match(other.json(), { code: 'IDEMPOTENCY_MISMATCH' })
  for (const payload of [
    '{ "name" : "a", "tags":["b"], "size":1 }',
    '{"size":1.0e0,"tags":["\\u0062"],"name":"\\u0061"}',
    '{"tags":["b"],"size":10e-1,"n\\u0061me":"a"}'
  ]) {
    const again = await app.inject({
      method: 'POST',
      url: '/v1/widgets',
      payload,
      headers: { ...ada, 'content-type': 'application/json', 'idempotency-key': 'key' }
    })
    t.match(again, { statusCode: 201, headers: { 'idempotency-replayed': 'true' } }, payload)
  }
  t.equal(runs(), 1)
})

t.test('while the first runs the second is told to wait', async (t) => {
  const gate = Promise.withResolvers<void>()
  const { post, runs, app } = serve(t, async (name) => {
    await gate.promise
    return { ...widget, name }
  })
  await app.listen({ port: 0 })
  const first = post('key')
  while (runs() === 0) await sleep(1)
  const second = await post('key')
  t.equal(second.statusCode, 409)
  t.match(second.json(), { code: 'IDEMPOTENCY_IN_FLIGHT' })
  t.equal(second.headers['retry-after'], '1')
  gate.resolve()
  t.equal((await first).statusCode, 201)
  t.equal((await post('key')).headers['idempotency-replayed'], 'true')
})

t.test('the answer commits with the write', async (t) => {
  const committed: string[] = []
  let crash = false
  const { post, runs } = serve(t, async (name, call) => {
    const result = { ...widget, name }
    const tx: Array<() => void> = [() => committed.push(name)]
    await call.beforeCommit?.(tx, result)
    if (crash) throw new TypeError('before the commit')
    for (const effect of tx) effect()
    return { ...result, name: 'not what was kept' }
  })
  const first = await post('key')
  t.match(first.json(), { name: 'a' }, 'what was kept is what is sent')
  t.equal((await post('key')).body, first.body)
  crash = true
  t.equal((await post('key-2')).statusCode, 500)
  crash = false
  t.equal((await post('key-2')).statusCode, 201, 'nothing was kept, so it runs again')
  t.equal(runs(), 3)
  t.same(committed, ['a', 'a'])
})

t.test('refusals are kept, failures and passing refusals are not', async (t) => {
  let thrown: unknown = new SkerryError('CONFLICT', { detail: 'Taken.' })
  const { post, runs, store } = serve(t, async () => {
    throw thrown
  })
  const first = await post('key')
  t.equal(first.statusCode, 409)
  const again = await post('key')
  t.equal(again.statusCode, 409)
  t.equal(again.body, first.body)
  t.match(again.headers, { 'idempotency-replayed': 'true', 'content-type': /problem\+json/ })
  t.equal(runs(), 1)
  for (const passing of [new SkerryError('UNAVAILABLE'), new TypeError('x'), new SkerryError('RATE_LIMITED')]) {
    thrown = passing
    await post('again')
    t.equal(store.records.size, 1, 'the claim is given up')
  }
  t.equal(runs(), 4)
})

t.test('a store that is away is a 503, and the first error is the one told', async (t) => {
  const { post, store } = serve(t, async () => {
    throw new SkerryError('CONFLICT')
  })
  const down = Object.assign(new Error('down'), { name: 'MongoNetworkError' })
  store.complete = async () => {
    throw down
  }
  t.equal((await post('key')).statusCode, 409)
  store.claim = async () => {
    throw down
  }
  t.equal((await post('key-2')).statusCode, 503)
})

t.test('a bad key is refused, and so is a bad body before any claim', async (t) => {
  const { post, runs, store } = serve(t, plain)
  for (const key of ['', ' ', 'with space', 'x'.repeat(256), 'é']) {
    const answer = await post(key)
    t.equal(answer.statusCode, 400, JSON.stringify(key))
    t.match(answer.json().errors, [{ path: 'header.idempotency-key' }])
  }
  t.equal((await post('key', { name: 5 })).statusCode, 400)
  t.equal(store.records.size, 0)
  t.equal(runs(), 0)
  t.equal((await post('x'.repeat(255))).statusCode, 201)
})
