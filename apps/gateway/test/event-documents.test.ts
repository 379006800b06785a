import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import type { AsyncApiDocument } from '@skerry/contracts/asyncapi'
import { announce, connectNats, publishIdentity } from '@skerry/service'
import { useStores, waitFor } from '@skerry/testing'
import { Ajv } from 'ajv'
import addFormats from 'ajv-formats'
import t from 'tap'
import { eventsPage, policyOfEventsPage } from '../src/documents/events-page.ts'
import { membersOf } from '../src/documents/schema-members.ts'
import { readEvents } from '../src/documents/service-events.ts'
import { asyncDocumentOf, eventOf, publisherOf, startEventsPort } from './helpers/events.ts'
import { startGateway } from './helpers/gateway.ts'
import { startProcess } from './helpers/processes.ts'
import { createIssuer } from './helpers/tokens.ts'

const PATIENT = { DOCUMENT_TIMEOUT_MS: '20000' }
const ajv = new Ajv({ strict: false, meta: false, validateSchema: false })
addFormats.default(ajv)
const specification = createRequire(import.meta.url).resolve('@asyncapi/specs/schemas/3.0.0.json')
const isAsyncApi = ajv.compile(JSON.parse(readFileSync(specification, 'utf8')))

t.test('one document of the events of all live services, as they come and go', async (t) => {
  const { url, nc, live } = await startGateway(t, { env: PATIENT })
  const get = (path: string, init?: RequestInit) => fetch(url + path, init)
  const read = async () => (await (await get('/asyncapi.json')).json()) as AsyncApiDocument
  t.same((await read()).channels, {})
  t.match(await (await get('/docs/events')).text(), 'No live service publishes events.')

  const ships = await startEventsPort(
    t,
    asyncDocumentOf(eventOf('ships.ship.sailed.v2'), eventOf('ships.ship.sailed.v1'))
  )
  const first = await announce(nc, publisherOf('ships', ships))
  await live('ships', 1)
  // Speaks for another besides itself.
  const boats = await startEventsPort(t, asyncDocumentOf(eventOf('boats.boat.sunk.v1'), eventOf('ships.ship.sunk.v1')))
  await announce(nc, publisherOf('boats', boats))
  await live('boats', 1)
  const answer = await get('/asyncapi.json', { headers: { origin: 'https://app.example' } })
  t.equal(answer.headers.get('content-type'), 'application/json; charset=utf-8')
  t.equal(answer.headers.get('access-control-allow-origin'), '*')
  const text = await answer.text()
  const document = JSON.parse(text)
  const subjects = ['boats.boat.sunk.v1', 'ships.ship.sailed.v1', 'ships.ship.sailed.v2']
  t.same(Object.keys(document.channels), subjects)
  t.same(
    Object.keys(document.operations),
    subjects.map((one) => `send.${one}`)
  )
  t.ok(isAsyncApi(document), JSON.stringify(isAsyncApi.errors))
  const etag = answer.headers.get('etag') ?? ''
  t.equal((await get('/asyncapi.json', { headers: { 'if-none-match': etag } })).status, 304)

  const schema = await get('/schemas/events/ships.ship.sailed.v1.json')
  t.equal(schema.headers.get('content-type'), 'application/schema+json')
  t.same(await schema.json(), {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    $id: 'urn:skerry:event:ships.ship.sailed.v1',
    title: 'ships.ship.sailed.v1',
    description: 'ships.ship.sailed.v1.',
    ...{ type: 'object', required: ['id'], properties: { id: { type: 'string' } } },
    examples: [{ id: 'x' }]
  })
  for (const path of ['ships.ship.sunk.v1.json', 'ships.ship.sailed.v1', 'constructor.json']) {
    const missing = await get(`/schemas/events/${path}`)
    t.equal(missing.status, 404, path)
    t.match(await missing.json(), { code: 'NOT_FOUND' })
  }

  await first.drain()
  await live('ships', 0)
  t.same(Object.keys((await read()).channels), subjects, 'who is away for a while is still described')
  await announce(nc, publisherOf('ships', ships, { instance: '2' }))
  await live('ships', 1)
  t.equal(await (await get('/asyncapi.json')).text(), text, 'and the text is the same')
  t.equal(ships.asked(), 1, 'one hash is fetched once')
})

t.test('the page shows all of it, runs nothing and trusts nobody', async (t) => {
  const evil = '<script>alert(1)</script>"\'&'
  const payload = {
    type: 'object',
    required: ['kind'],
    properties: { kind: { type: 'string', description: evil }, [evil]: { const: evil } }
  }
  const { url, nc, live } = await startGateway(t, { env: PATIENT })
  const ops = await startEventsPort(
    t,
    asyncDocumentOf(eventOf('ships.ship.sailed.v1', { summary: evil, payload, examples: [{ kind: evil }] }))
  )
  await announce(nc, publisherOf('ships', ops))
  await live('ships', 1)
  const page = await fetch(`${url}/docs/events`)
  t.equal(page.status, 200)
  t.equal(page.headers.get('content-type'), 'text/html; charset=utf-8')
  t.equal(page.headers.get('content-security-policy'), policyOfEventsPage())
  t.match(policyOfEventsPage(), /^default-src 'none'; style-src 'sha256-[^']+'; /)
  const html = await page.text()
  t.notMatch(html, /<script|https?:/)
  t.equal(html.split('&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#39;&amp;').length, 4, 'escaped wherever it stands')
  t.match(html, '<section id="ships.ship.sailed.v1">')
  t.match(html, 'href="/schemas/events/ships.ship.sailed.v1.json"')
  const again = await fetch(`${url}/docs/events`, { headers: { 'if-none-match': page.headers.get('etag') ?? '' } })
  t.equal(again.status, 304)
  t.equal(again.headers.get('content-security-policy'), policyOfEventsPage())
  t.match(
    (await fetch(`${url}/asyncapi.json`)).headers.get('content-security-policy'),
    "default-src 'none';frame-ancestors 'none'"
  )
})

t.test('members are shown as people read them', async (t) => {
  const members = membersOf({
    required: ['id', 'author'],
    properties: {
      id: { type: 'string', description: 'Its id.' },
      author: {
        anyOf: [{ type: 'object', required: ['name'], properties: { name: { type: 'string' } } }, { type: 'null' }]
      },
      tags: { type: 'array', items: { type: 'string', description: 'A tag.' } },
      media: { type: 'array', items: { type: 'object', properties: { size: { type: ['integer', 'null'] } } } },
      kind: { enum: ['a', 1] },
      any: {}
    }
  })
  t.same(
    members.map(({ path, type, required, description }) => `${path}|${type}|${required}|${description}`),
    [
      'id|string|true|Its id.',
      'author|object or null|true|',
      'author.name|string|true|',
      'tags|list of string|false|A tag.',
      'media|list of object|false|',
      'media[].size|integer or null|false|',
      'kind|"a" or 1|false|',
      'any|anything|false|'
    ]
  )
  const many = Object.fromEntries(Array.from({ length: 300 }, (_, i) => [`m${i}`, {}]))
  t.equal(membersOf({ properties: many }).length, 200)
  t.match(eventsPage({ title: 'T', description: '' }, []), '<h1>T</h1>')
})

t.test('documents of others, which are written otherwise', async (t) => {
  const foreign = {
    asyncapi: '3.1.0',
    servers: { internal: { host: '10.0.0.7', protocol: 'nats' } },
    channels: {
      sailed: {
        address: 'ships.ship.sailed.v1.{partition}',
        messages: { any: { $ref: '#/components/messages/Sailed' } }
      },
      other: { $ref: '#/components/channels/Sunk' },
      command: { address: 'commands.ship.sail' }
    },
    components: {
      channels: {
        Sunk: { address: 'ships.ship.sunk.v1', summary: 'Sunk.', messages: { x: { payload: { type: 'object' } } } }
      },
      messages: {
        Sailed: {
          summary: 'Sailed.',
          payload: { $ref: '#/components/schemas/Sailed' },
          examples: [{ payload: { at: 'x' } }, { headers: {} }]
        }
      },
      schemas: {
        Sailed: { type: 'object', properties: { at: { $ref: '#/components/schemas/a~1b', description: 'When.' } } },
        'a/b': { type: 'string', description: 'A time.' }
      }
    }
  }
  t.same(readEvents(JSON.stringify(foreign), 'ships'), [
    {
      subject: 'ships.ship.sailed.v1',
      owner: 'ships',
      summary: 'Sailed.',
      payload: { type: 'object', properties: { at: { type: 'string', description: 'When.' } } },
      examples: [{ at: 'x' }]
    },
    { subject: 'ships.ship.sunk.v1', owner: 'ships', summary: 'Sunk.', payload: { type: 'object' }, examples: [] }
  ])

  const withPayload = (payload: unknown, schemas = {}) => ({
    asyncapi: '3.0.0',
    channels: { 'ships.ship.sailed.v1': { messages: { m: { payload } } } },
    components: { schemas }
  })
  const ref = (name: string) => ({ $ref: `#/components/schemas/${name}` })
  const doubling = Object.fromEntries(
    Array.from({ length: 40 }, (_, i) => [`s${i}`, { a: ref(`s${i + 1}`), b: ref(`s${i + 1}`) }])
  )
  const bad: [object, RegExp][] = [
    [[], /the document is not an object/],
    [{ asyncapi: '2.6.0' }, /it is not AsyncAPI 3/],
    [{ asyncapi: '3.0.0', channels: [] }, /channels is not an object/],
    [
      { asyncapi: '3.0.0', channels: Object.fromEntries(Array.from({ length: 501 }, (_, i) => [i, {}])) },
      /more than 500 channels/
    ],
    [{ asyncapi: '3.0.0', channels: { 'ships.ship.sailed.v1': {} } }, /has 0 messages/],
    [withPayload(1), /payload of ships\.ship\.sailed\.v1 is not an object/],
    [
      withPayload({ $ref: 'https://elsewhere.example/x.json' }),
      /refers to https:\/\/elsewhere\.example\/x\.json, which is not a part of it/
    ],
    [withPayload(ref('gone')), /refers to #\/components\/schemas\/gone, which is not there/],
    [withPayload(ref('constructor')), /which is not there/],
    [withPayload(ref('a'), { a: ref('a') }), /go round in a circle/],
    [withPayload(ref('a'), { a: { x: ref('a') } }), /nested more than 60 deep, or refers to itself/],
    [withPayload(ref('s0'), { ...doubling, s40: {} }), /more than 5000 parts|more than 60 deep/]
  ]
  for (const [document, message] of bad) t.throws(() => readEvents(JSON.stringify(document), 'ships'), { message })
})

t.test('a document that cannot be read is left out, and nobody else’s', async (t) => {
  const { url, nc, live } = await startGateway(t, { env: PATIENT })
  const bad = await startEventsPort(t, { asyncapi: '2.0.0' })
  const good = await startEventsPort(t, asyncDocumentOf(eventOf('good.thing.done.v1')))
  await announce(nc, publisherOf('bad', bad))
  await announce(nc, publisherOf('good', good))
  await live('bad', 1)
  await live('good', 1)
  const document = (await (await fetch(`${url}/asyncapi.json`)).json()) as AsyncApiDocument
  t.same(Object.keys(document.channels), ['good.thing.done.v1'])
})

t.test('a real service and a real gateway', async (t) => {
  const stores = await useStores(t)
  const service = await startProcess(t, '../fixtures/tiny-service.ts', stores.envFor('content'))
  const nc = await connectNats({ ...stores.nats, name: 'event-documents-test' })
  t.teardown(() => nc.close())
  await publishIdentity(nc).setJwks(createIssuer().jwks)
  const gateway = await startProcess(t, '../../src/main.ts', { ...stores.envFor('gateway'), ...PATIENT, PORT: '0' })
  const read = async () => (await (await fetch(`${gateway.url}/asyncapi.json`)).json()) as AsyncApiDocument
  await waitFor(async () => 'content.post.created.v1' in (await read()).channels)
  t.ok(isAsyncApi(await read()), JSON.stringify(isAsyncApi.errors))
  t.equal((await fetch(`${service.ops}/asyncapi.json`)).status, 200)
  t.equal((await fetch(`${gateway.ops}/asyncapi.json`)).status, 404, 'a gateway publishes nothing')
  service.child.kill('SIGKILL')
  await service.exited
  t.ok('content.post.created.v1' in (await read()).channels)
})
