import { generateKeyPairSync, sign } from 'node:crypto'
import { AccountDeleted, conduitRoutes, wireSubject } from '@skerry/contracts'
import { eventCollections, toHeaders } from '@skerry/events'
import {
  connectNats,
  createIdentityFromJwks,
  createLogger,
  createMetrics,
  jetstreamOf,
  managerOf,
  parseConfig
} from '@skerry/service'
import { idempotencyKeys, newId, openStore, randomBucket } from '@skerry/store'
import { useStores, waitFor } from '@skerry/testing'
import t from 'tap'
import { buildApp, ConfigSchema } from '../src/app.ts'
import { conduitCollection } from '../src/data/conduit.ts'
import { startEvents } from '../src/events.ts'

const PATH = conduitRoutes.createArticle.path
const stores = await useStores(t)
const config = parseConfig(ConfigSchema, { ...stores.envFor('conduit'), LOG_LEVEL: 'silent', CHECK_RESPONSES: 'true' })
const nc = await connectNats({ ...stores.nats, name: 'test' })
const js = jetstreamOf(nc)
const jsm = await managerOf(nc)
// Stands where auth would be.
await jsm.streams.add({ name: 'auth', subjects: ['auth.>'] })
const store = await openStore({
  url: config.MONGO_URL,
  database: config.MONGO_DATABASE,
  collections: [conduitCollection, ...eventCollections, idempotencyKeys],
  // A query without its shard key or an index fails the tests.
  checkQueries: true
})
const keys = generateKeyPairSync('ed25519')
const identity = createIdentityFromJwks({
  keys: [{ ...keys.publicKey.export({ format: 'jwk' }), kid: 'test', alg: 'EdDSA' } as { kty: string }]
})
const log = createLogger({ service: 'conduit', instance: 'test', level: 'silent' })
const metrics = createMetrics({ service: 'conduit', instance: 'test', processMetrics: false })
const events = startEvents({ store }, { nc, instance: 'test', log, metrics })
const app = buildApp({ config, store, identity, metrics, logger: log })
t.teardown(async () => {
  await events.stop()
  await app.close()
  await store.close()
  await nc.close()
})

type Body = { id: string; text: string; code: string; items: { id: string }[]; nextCursor: string | null }
type Method = 'GET' | 'POST' | 'DELETE'

/** Somebody with a token as auth makes it. */
function somebody() {
  const id = newId(randomBucket())
  const now = Math.floor(Date.now() / 1000)
  const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const claims = { sub: id, sid: newId(0), usr: 'ada', dnm: 'Ada', aat: now, iat: now, exp: now + 600 }
  const text = [
    { alg: 'EdDSA', typ: 'at+jwt', kid: 'test' },
    { iss: 'skerry', aud: 'skerry', ...claims }
  ]
    .map(encode)
    .join('.')
  const token = `${text}.${sign(null, Buffer.from(text), keys.privateKey).toString('base64url')}`
  const send = async (method: Method, path: string, body?: object, headers: Record<string, string> = {}) => {
    const authorization = `Bearer ${token}`
    const answer = await app.inject({
      method,
      url: `${PATH}${path}`,
      headers: { authorization, ...headers },
      ...(body === undefined ? {} : { payload: body })
    })
    return {
      status: answer.statusCode,
      body: (answer.body === '' ? {} : answer.json()) as Body,
      headers: answer.headers
    }
  }
  return { id, send }
}

/** What stands in this service's stream for a article. */
async function published(id: string): Promise<string[]> {
  const { state } = await jsm.streams.info('conduit')
  const seen: string[] = []
  for (let seq = state.first_seq; seq <= state.last_seq; seq++) {
    const message = await jsm.streams.getMessage('conduit', { seq })
    if (message?.header.get('ce-subject') === id) seen.push(message.subject)
  }
  return seen
}
const CREATED = 'conduit.article.created.v1'
const DELETED = 'conduit.article.deleted.v1'

t.test('what is kept is read back, listed newest first and deleted, and each change is published once', async (t) => {
  const ada = somebody()
  const first = await ada.send('POST', '', { text: 'first' }, { 'idempotency-key': 'k1' })
  t.equal(first.status, 201)
  const again = await ada.send('POST', '', { text: 'first' }, { 'idempotency-key': 'k1' })
  t.same(again.body, first.body, 'a repeat with the same key is the same article')
  const second = await ada.send('POST', '', { text: 'second' })
  t.match(await ada.send('GET', `/${first.body.id}`), { status: 200, body: first.body })

  const page = await ada.send('GET', '?limit=1')
  t.same(
    page.body.items.map(({ id }) => id),
    [second.body.id]
  )
  const rest = await ada.send('GET', `?limit=1&cursor=${page.body.nextCursor}`)
  t.match(rest.body, { items: [{ id: first.body.id }], nextCursor: null })

  t.equal((await ada.send('DELETE', `/${first.body.id}`, undefined, { 'if-match': '"7.x"' })).status, 412)
  t.equal((await ada.send('DELETE', `/${first.body.id}`)).status, 204)
  t.equal((await ada.send('GET', `/${first.body.id}`)).status, 404)
  t.equal((await ada.send('DELETE', `/${first.body.id}`)).status, 404)
  await waitFor(async () => (await published(first.body.id)).length === 2)
  t.same(await published(first.body.id), [CREATED, DELETED])
  t.same(await published(second.body.id), [CREATED])
})

t.test('nobody sees or deletes what is somebody else’s', async (t) => {
  const ada = somebody()
  const bob = somebody()
  const { body } = await ada.send('POST', '', { text: 'mine' })
  t.match(await bob.send('GET', `/${body.id}`), { status: 404, body: { code: 'NOT_FOUND' } })
  t.equal((await bob.send('DELETE', `/${body.id}`)).status, 404)
  t.same((await bob.send('GET', '')).body.items, [])
  t.equal((await ada.send('GET', `/${body.id}`)).status, 200)
  t.equal((await app.inject({ method: 'GET', url: PATH })).statusCode, 401, 'and without a token nothing at all')
})

t.test('what does not fit is refused with its path', async (t) => {
  const ada = somebody()
  const rows: [method: Method, path: string, body: object | undefined, at: string][] = [
    ['POST', '', undefined, 'body'],
    ['POST', '', {}, 'body.text'],
    ['POST', '', { text: '' }, 'body.text'],
    ['POST', '', { text: 'x'.repeat(2001) }, 'body.text'],
    ['POST', '', { text: { $ne: 1 } }, 'body.text'],
    ['POST', '', { text: 'x', more: 1 }, 'body.more'],
    ['GET', '/no-id', undefined, 'params.id'],
    ['DELETE', '/no-id', undefined, 'params.id'],
    ['GET', '?limit=0', undefined, 'query.limit'],
    ['GET', '?cursor=x', undefined, 'query.cursor'],
    ['GET', '?more=1', undefined, 'query.more']
  ]
  for (const [method, path, body, at] of rows) {
    const answer = await ada.send(method, path, body)
    t.match(
      answer,
      { status: 400, body: { errors: [{ path: at }] } },
      `${method} ${path} ${JSON.stringify(body)?.slice(0, 40)}`
    )
  }
})

t.test('when an account ends, what its owner kept goes and the rest stays', async (t) => {
  const ada = somebody()
  const bob = somebody()
  const gone = (await ada.send('POST', '', { text: 'gone' })).body.id
  const kept = (await bob.send('POST', '', { text: 'kept' })).body.id
  const subject = wireSubject(AccountDeleted)
  const envelope = { id: newId(0), subject, entity: ada.id, time: new Date().toISOString(), traceparent: undefined }
  // Delivered twice, as may happen.
  for (let i = 0; i < 2; i++)
    await js.publish(subject, JSON.stringify({ userId: ada.id }), { headers: toHeaders('auth', envelope) })
  await waitFor(async () => (await published(gone)).includes(DELETED))
  t.same((await ada.send('GET', '')).body.items, [])
  t.equal((await bob.send('GET', `/${kept}`)).status, 200)
  t.same(await published(gone), [CREATED, DELETED])
})
