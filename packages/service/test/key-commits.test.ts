import { SkerryError } from '@skerry/contracts'
import t, { type Test } from 'tap'
import { type CallContext, route } from '../src/index.ts'
import { MapStore } from './support/map-store.ts'
import { createServer, createTokens, widget, widgetRoutes } from './support/server.ts'

// `keyCommits`: nothing is claimed before the write, and its transaction inserts the answer.
const tokens = await createTokens()
const ada = { authorization: `Bearer ${await tokens.sign({ sub: '01h0000000000000000000ada1' })}` }

type Create = (name: string, commit: (result: typeof widget) => Promise<typeof widget>) => Promise<typeof widget>

function serve(t: Test, create: Create) {
  const store = new MapStore()
  const { app } = createServer(t, { identity: tokens.identity, idempotency: store })
  const committed: string[] = []
  let runs = 0
  const commit = (call: CallContext) => async (result: typeof widget) => {
    const tx: (() => void)[] = []
    await call.beforeCommit?.(tx, result)
    for (const effect of tx) effect()
    committed.push(result.name)
    return result
  }
  const handler = async ({ body, call }: { body: { name: string }; call: CallContext }) => {
    runs++
    return create(body.name, commit(call))
  }
  route(app, widgetRoutes.create, handler, { keyCommits: true })
  const post = (key: string, name = 'a') =>
    app.inject({
      method: 'POST',
      url: '/v1/widgets',
      payload: { name },
      headers: { ...ada, 'idempotency-key': key }
    })
  return { store, post, committed, runs: () => runs }
}

const plain: Create = async (name, commit) => commit({ ...widget, name })

t.test('nothing is claimed; a repeat gets the first answer, another body is refused', async (t) => {
  const { store, post, committed } = serve(t, plain)
  store.claim = async () => {
    throw new Error('nobody claims')
  }
  store.find = async ({ id, bodyHash }) => {
    const record = store.records.get(id)
    if (record?.answer === undefined) return { state: 'new' }
    return record.bodyHash === bodyHash ? { state: 'done', answer: record.answer } : { state: 'mismatch' }
  }
  const first = await post('key')
  t.equal(first.statusCode, 201)
  t.notOk(first.headers['idempotency-replayed'])
  const again = await post('key')
  t.match(again, { statusCode: 201, body: first.body, headers: { 'idempotency-replayed': 'true' } })
  t.match((await post('key', 'b')).json(), { status: 422, code: 'IDEMPOTENCY_MISMATCH' })
  t.same(committed, ['a'])
})

t.test('of many at once one commits, and all are told its answer', async (t) => {
  const gate = Promise.withResolvers<void>()
  let n = 0
  const { post, committed, runs } = serve(t, async (name, commit) => {
    const mine = ++n
    await gate.promise
    return commit({ ...widget, name, note: `${mine}` })
  })
  const all = Array.from({ length: 5 }, () => post('key'))
  await Promise.all([gate.resolve(), ...all])
  const answers = await Promise.all(all)
  t.equal(runs(), 5)
  t.equal(committed.length, 1)
  t.same(new Set(answers.map(({ body }) => body)).size, 1)
  t.equal(answers.filter(({ headers }) => headers['idempotency-replayed'] !== 'true').length, 1)
})

t.test('what is refused because it was done before gets the first answer', async (t) => {
  let refusal: unknown
  const { post, committed } = serve(t, async (name, commit) => {
    if (refusal !== undefined) throw refusal
    return commit({ ...widget, name })
  })
  await post('key')
  refusal = new SkerryError('NOT_FOUND')
  t.match(await post('key'), { statusCode: 201, headers: { 'idempotency-replayed': 'true' } })
  t.match((await post('key', 'b')).json(), { code: 'IDEMPOTENCY_MISMATCH' }, 'the key says more than the refusal')
  refusal = new SkerryError('UNAVAILABLE')
  t.equal((await post('key')).statusCode, 503, 'of this moment')
  t.equal(committed.length, 1)
})

t.test('refusals are kept, passing ones and faults are not; a fault of the store is not the one told', async (t) => {
  let thrown: unknown = new SkerryError('CONFLICT')
  const { post, store, runs } = serve(t, async () => {
    throw thrown
  })
  const first = await post('key')
  t.match(await post('key'), { statusCode: 409, body: first.body, headers: { 'idempotency-replayed': 'true' } })
  for (const passing of [new SkerryError('UNAVAILABLE'), new TypeError('x'), new SkerryError('RATE_LIMITED')]) {
    thrown = passing
    await post('again')
    t.equal(store.records.size, 1)
  }
  thrown = new SkerryError('CONFLICT')
  store.record = async () => {
    throw new Error('away')
  }
  t.equal((await post('third')).statusCode, 409)
  t.equal(runs(), 6)
})

t.test('a write that had nothing to commit keeps its answer afterwards', async (t) => {
  const { post, store, runs } = serve(t, async (name) => ({ ...widget, name }))
  const first = await post('key')
  t.equal(store.records.size, 1)
  t.equal((await post('key')).body, first.body)
  t.equal(runs(), 2)
})

t.test('a store that fails within the write fails it', async (t) => {
  const { post, store, committed } = serve(t, plain)
  store.record = async () => {
    throw Object.assign(new Error('down'), { name: 'MongoNetworkError' })
  }
  t.equal((await post('key')).statusCode, 503)
  t.same(committed, [])
})
