import { Validator } from '@seriousme/openapi-schema-validator'
import type { OpenApiDocument } from '@skerry/contracts/openapi'
import { announce, connectNats, type Instance, publishIdentity } from '@skerry/service'
import { useStores, waitFor } from '@skerry/testing'
import Fastify from 'fastify'
import t, { type Test } from 'tap'
import Type from 'typebox'
import { createCompressor } from '../src/bytes/compressor.ts'
import { readConfig } from '../src/config.ts'
import { documentRoutes } from '../src/documents/document-routes.ts'
import { createSender } from '../src/documents/send-document.ts'
import { documentOf, getOf, instanceOf, startOpsPort } from './helpers/documents.ts'
import { startGateway } from './helpers/gateway.ts'
import { startProcess } from './helpers/processes.ts'
import { createIssuer } from './helpers/tokens.ts'

const named = (title: string, member = 'id') => Type.Object({ [member]: Type.String() }, { title })
/** Where nothing is late on purpose, a slow machine must not make it so. */
const PATIENT = { DOCUMENT_TIMEOUT_MS: '20000' }
const OWN = ['/asyncapi.json', '/livez', '/openapi.json', '/readyz', '/schemas/events/{file}', '/v1/batch']

t.test('one document of all live services, as they come and go', async (t) => {
  const { url, nc, live } = await startGateway(t, { env: PATIENT })
  const read = async () => (await (await fetch(`${url}/openapi.json`)).json()) as OpenApiDocument
  const paths = async () => Object.keys((await read()).paths)
  t.same(await paths(), OWN, 'the gateway’s own at first')

  const ships = await startOpsPort(t, documentOf({ getShip: getOf('/v1/ships/:id', named('Thing')) }))
  const first = await announce(nc, instanceOf('ships', ships))
  await live('ships', 1)
  t.same(await paths(), [...OWN, '/v1/ships/{id}'])
  // Claims what another holds besides what is its own, and calls another thing by the same name.
  const rival = documentOf({
    stolen: getOf('/v1/ships/:id', named('Stolen')),
    getBoat: getOf('/v1/boats', named('Thing', 'oars'))
  })
  const boats = await startOpsPort(t, rival)
  await announce(nc, instanceOf('boats', boats, { prefixes: ['/v1/boats', '/v1/ships'] }))
  await live('boats', 1)
  const document = await read()
  t.same(Object.keys(document.paths), [...OWN, '/v1/boats', '/v1/ships/{id}'])
  t.match(document.paths['/v1/ships/{id}'], { get: { operationId: 'getShip' } }, 'it stays with who holds it')
  t.match(document.components?.schemas, {
    Thing: { properties: { oars: {} } },
    'ships.Thing': { properties: { id: {} } }
  })
  const result = await new Validator().validate(JSON.parse(JSON.stringify(document)))
  t.ok(result.valid, JSON.stringify(result.errors))

  await first.drain()
  await live('ships', 0)
  t.ok((await paths()).includes('/v1/ships/{id}'), 'who is away for a while is still described')
  const again = await announce(nc, instanceOf('ships', ships))
  await live('ships', 1)
  t.ok((await paths()).includes('/v1/ships/{id}'))
  t.equal(ships.asked(), 1, 'one hash is fetched once')

  const wider = documentOf({
    getShip: getOf('/v1/ships/:id', named('Thing')),
    listShips: getOf('/v1/ships', named('Page'))
  })
  const newer = await startOpsPort(t, wider)
  await announce(nc, instanceOf('ships', newer, { instance: '2', version: '2.0.0' }))
  await again.drain()
  await waitFor(async () => (await paths()).includes('/v1/ships'))
})

t.test('it is answered as something to ask for again cheaply', async (t) => {
  const { url, port } = await startGateway(t)
  const answer = await fetch(`${url}/openapi.json`, { headers: { origin: 'https://app.example' } })
  t.equal(answer.status, 200)
  t.equal(answer.headers.get('content-type'), 'application/json; charset=utf-8')
  t.equal(answer.headers.get('cache-control'), 'public, max-age=0, must-revalidate')
  t.equal(answer.headers.get('access-control-allow-origin'), '*')
  const etag = answer.headers.get('etag') ?? ''
  t.match(etag, /^"[\w-]{43}~\w+"$/, 'in a coding, which has its own')
  const text = await answer.text()
  const again = await fetch(`${url}/openapi.json`, { headers: { 'if-none-match': `"x", W/${etag}` } })
  t.equal(again.status, 304)
  t.equal(again.headers.get('etag'), etag)
  t.equal(again.headers.get('cache-control'), 'public, max-age=0, must-revalidate')
  t.equal(await again.text(), '')
  t.equal((await fetch(`${url}/openapi.json`, { headers: { 'if-none-match': '"x"' } })).status, 200)
  const head = await fetch(`http://127.0.0.1:${port}/openapi.json`, {
    method: 'HEAD',
    headers: { 'accept-encoding': 'identity' }
  })
  t.equal(head.headers.get('content-length'), String(Buffer.byteLength(text)))
})

/** The routes alone, on services that the test says are there. */
async function startRoutes(
  t: Test,
  options: { env?: Record<string, string>; holderOf?: (path: string) => string | undefined } = {}
) {
  const clock = { now: 0 }
  const state = { live: [] as Instance[] }
  const warnings: { err?: Error; service?: string }[] = []
  const app = Fastify()
  documentRoutes(app, {
    live: () => state.live,
    send: createSender(createCompressor({ concurrency: 1, streams: 1 }), 1_024),
    holderOf: options.holderOf ?? ((path) => path.split('/')[2]),
    log: { warn: (line: object) => warnings.push(line), error: t.fail } as never,
    // The looks between requests are left out: a test says when one is.
    config: readConfig({
      NATS_URL: 'nats://127.0.0.1:1',
      NATS_USER: 'x',
      NATS_PASSWORD: 'x',
      DOCUMENT_LOOK_MS: '3600000',
      ...PATIENT,
      ...options.env
    }),
    now: () => clock.now
  })
  t.teardown(() => app.close())
  const services = async () => {
    const { paths } = (await app.inject('/openapi.json')).json<OpenApiDocument>()
    return Object.keys(paths).filter((path) => !OWN.includes(path))
  }
  return { app, clock, state, warnings, services }
}

t.test('a service that is away is described for ten minutes, or until its paths are another’s', async (t) => {
  let holder = 'ships'
  const { clock, state, services } = await startRoutes(t, { holderOf: () => holder })
  const ops = await startOpsPort(t, documentOf({ list: getOf('/v1/ships', named('Ship')) }))
  state.live = [instanceOf('ships', ops)]
  t.same(await services(), ['/v1/ships'])
  state.live = []
  t.same(await services(), ['/v1/ships'])
  clock.now = 599_999
  t.same(await services(), ['/v1/ships'])
  holder = 'boats'
  t.same(await services(), [], 'released')
  holder = 'ships'
  state.live = [instanceOf('ships', ops)]
  clock.now = 600_001
  t.same(await services(), ['/v1/ships'], 'it came back, and the time begins anew')
  state.live = []
  await services()
  clock.now += 599_999
  t.same(await services(), ['/v1/ships'])
  clock.now += 1
  t.same(await services(), [])
  t.equal(ops.asked(), 1)
  state.live = [instanceOf('ships', ops)]
  t.same(await services(), ['/v1/ships'])
  t.equal(ops.asked(), 2, 'what was dropped is fetched again')
})

t.test('documents that cannot be had or merged are left out, and nobody else’s', async (t) => {
  const { clock, state, warnings, services } = await startRoutes(t, {
    env: { DOCUMENT_LIMIT: '200000', DOCUMENT_TIMEOUT_MS: '3000' }
  })
  const good = await startOpsPort(t, documentOf({ list: getOf('/v1/good', named('Good')) }))
  const gone = await startOpsPort(t, {})
  await gone.close()
  const hanging = await startOpsPort(t, {}, () => undefined)
  const stalling = await startOpsPort(t, {}, (_request, response) => response.writeHead(200).write('{'))
  const large = await startOpsPort(t, { padding: 'x'.repeat(200_000) })
  const endless = await startOpsPort(t, {}, (_request, response) => {
    const more = () => {
      while (response.write('x'.repeat(65_536)));
    }
    response.on('drain', more)
    more()
  })
  const failing = await startOpsPort(t, {}, (_request, response) => response.writeHead(500).end('{}'))
  const moved = await startOpsPort(t, {}, (_request, response) =>
    response.writeHead(302, { location: `${good.url}/openapi.json` }).end()
  )
  const lying = await startOpsPort(t, documentOf({ list: getOf('/v1/lying', named('Lying')) }))
  const strange = await startOpsPort(t, { openapi: '3.0.3', paths: {} })
  state.live = [
    instanceOf('good', good),
    instanceOf('gone', gone),
    instanceOf('hanging', hanging),
    instanceOf('stalling', stalling),
    instanceOf('large', large),
    instanceOf('endless', endless),
    instanceOf('failing', failing),
    instanceOf('moved', { url: moved.url, contract: good.contract }),
    instanceOf('lying', { url: lying.url, contract: good.contract }),
    instanceOf('strange', strange),
    { service: 'older', version: '0.0.0', instance: '1', url: 'http://127.0.0.1:1', weight: 1, prefixes: ['/v1/older'] }
  ]
  t.same(await services(), ['/v1/good'])
  const reasons = Object.fromEntries(warnings.map(({ service, err }) => [service, err?.message]))
  t.match(reasons, {
    gone: /ECONNREFUSED/,
    hanging: /timeout/,
    stalling: /timeout/,
    large: 'it is larger than 200000 bytes',
    endless: 'it is larger than 200000 bytes',
    failing: 'it was answered with 500',
    moved: 'it was answered with 302',
    lying: 'it is not the one that was announced',
    strange: 'it is not OpenAPI 3.1'
  })
  t.notOk('good' in reasons)
  t.same(await services(), ['/v1/good'])
  t.equal(warnings.length, 9, 'who failed is left alone for a while')
  t.equal(failing.asked(), 1)
  clock.now += 5_000
  await services()
  t.equal(failing.asked(), 2, 'and then asked again')
})

t.test('any instance will do, and while a newer document cannot be had the last one stands', async (t) => {
  const { clock, state, services } = await startRoutes(t)
  const document = documentOf({ list: getOf('/v1/ships', named('Ship')) })
  const good = await startOpsPort(t, document)
  const failing = await startOpsPort(t, document, (_request, response) => response.writeHead(503).end())
  state.live = [instanceOf('ships', failing), instanceOf('ships', good, { instance: '2' })]
  t.same(await services(), ['/v1/ships'])

  const next = await startOpsPort(t, {}, (_request, response) => response.writeHead(503).end())
  state.live = [instanceOf('ships', next)]
  t.same(await services(), ['/v1/ships'])
  clock.now += 600_000
  t.same(await services(), ['/v1/ships'], 'it is not away')
})

t.test('during a rollout most instances speak for a service; of as many those of the higher version', async (t) => {
  const { state, services } = await startRoutes(t)
  const older = await startOpsPort(t, documentOf({ list: getOf('/v1/ships/old', named('Ship')) }))
  const newer = await startOpsPort(t, documentOf({ list: getOf('/v1/ships/new', named('Ship')) }))
  const old = (n: string) => instanceOf('ships', older, { instance: n, version: '1.9.0' })
  const fresh = (n: string) => instanceOf('ships', newer, { instance: n, version: '1.10.0' })
  state.live = [old('1'), old('2'), fresh('3')]
  t.same(await services(), ['/v1/ships/old'], 'a canary does not')
  state.live = [old('1'), fresh('3')]
  t.same(await services(), ['/v1/ships/new'])
  state.live = [old('1'), fresh('2'), fresh('3')]
  t.same(await services(), ['/v1/ships/new'])
})

t.test('no more documents are kept than there is room for, and many callers ask once', async (t) => {
  const { app, state, warnings, services } = await startRoutes(t, { env: { DOCUMENT_SERVICES: '2' } })
  const ops = await Promise.all(
    ['a', 'b', 'c'].map((name) => startOpsPort(t, documentOf({ list: getOf(`/v1/${name}`, named('X')) })))
  )
  state.live = ['a', 'b'].map((name, i) => instanceOf(name, ops[i]!))
  const answers = await Promise.all(Array.from({ length: 20 }, () => app.inject('/openapi.json')))
  t.equal(new Set(answers.map((answer) => answer.body)).size, 1)
  t.same(
    ops.map((one) => one.asked()),
    [1, 1, 0]
  )
  state.live = ['a', 'b', 'c'].map((name, i) => instanceOf(name, ops[i]!))
  t.same(await services(), ['/v1/a', '/v1/b'])
  await services()
  t.match(warnings, [{ service: 'c', maxServices: 2 }])
  t.equal(warnings.length, 1, 'said once')
})

t.test('documents are looked for also when nobody asks', async (t) => {
  const { state, services } = await startRoutes(t, { env: { DOCUMENT_LOOK_MS: '5' } })
  const ops = await startOpsPort(t, documentOf({ list: getOf('/v1/ships', named('Ship')) }))
  state.live = [instanceOf('ships', ops)]
  await waitFor(() => ops.asked() === 1)
  state.live = []
  t.same(await services(), ['/v1/ships'], 'it was seen before it went away')
})

t.test('a real service and a real gateway', async (t) => {
  const stores = await useStores(t)
  const service = await startProcess(t, '../fixtures/tiny-service.ts', stores.envFor('content'))
  const nc = await connectNats({ ...stores.nats, name: 'documents-test' })
  t.teardown(() => nc.close())
  await publishIdentity(nc).setJwks(createIssuer().jwks)
  const gateway = await startProcess(t, '../../src/main.ts', {
    ...stores.envFor('gateway'),
    ...PATIENT,
    PORT: '0'
  })
  const read = async () => (await (await fetch(`${gateway.url}/openapi.json`)).json()) as OpenApiDocument
  await waitFor(async () => '/v1/posts' in (await read()).paths)
  t.match((await read()).paths['/v1/posts'], { get: { operationId: 'listPosts' }, post: { operationId: 'createPost' } })
  service.child.kill('SIGKILL')
  await service.exited
  t.ok('/v1/posts' in (await read()).paths)
  t.equal((await fetch(`${gateway.ops}/openapi.json`)).status, 404, 'a gateway announces nothing of its own')
})
