import { Validator } from '@seriousme/openapi-schema-validator'
import { type OpenApiDocument, openApiOf } from '@skerry/contracts/openapi'
import t from 'tap'
import Type from 'typebox'
import { mergeDocuments } from '../src/documents/merge.ts'
import { readDocument } from '../src/documents/service-document.ts'
import { documentOf, getOf } from './helpers/documents.ts'

const INFO = { title: 'All', version: 'v1' }
const contribution = (service: string, document: object, paths?: string[]) => {
  const read = readDocument(JSON.stringify(document))
  return { service, document: read, paths: paths ?? [...read.paths.keys()] }
}
const schemaAt = (document: OpenApiDocument, path: string) => {
  const { get } = document.paths[path] as {
    get: { responses: Record<string, { content: Record<string, { schema: unknown }> }> }
  }
  return get.responses[200]?.content['application/json']?.schema
}
const named = (title: string, properties: Record<string, ReturnType<typeof Type.String>> = {}) =>
  Type.Object(properties, { title })

t.test('paths come from who holds them, components as far as they are needed, and all of it is valid', async (t) => {
  const Ship = named('Ship', { name: Type.String() })
  const ships = documentOf({ getShip: getOf('/v1/ships/:id', Ship), getPort: getOf('/v1/ports/:id', named('Port')) })
  const document = mergeDocuments(INFO, [contribution('ships', ships, ['/v1/ships/{id}', '/v1/nowhere'])])
  t.same(Object.keys(document.paths), ['/v1/ships/{id}'])
  t.same(Object.keys(document.components?.schemas ?? {}), ['Problem', 'Ship', 'Violation'])
  t.same(document.tags, [{ name: 'ships' }])
  t.same(document.info, INFO)
  t.same(document.servers, [{ url: '/' }], 'generated clients find a server')
  const result = await new Validator().validate(JSON.parse(JSON.stringify(document)))
  t.ok(result.valid, JSON.stringify(result.errors))
})

t.test(
  'what two services share stands once; what only has the same name is told apart, with all that refers to it',
  async (t) => {
    const shared = named('Shared', { x: Type.String() })
    const of = (deep: string) => {
      const Deep = named('Deep', { [deep]: Type.String() })
      const Middle = Type.Object({ deep: Deep, shared }, { title: 'Middle' })
      return Type.Object({ middle: Middle }, { title: `Top${deep}` })
    }
    const one = documentOf({ getOne: getOf('/v1/one', of('a')) })
    const two = documentOf({ getTwo: getOf('/v1/two', of('b')) })
    const document = mergeDocuments(INFO, [contribution('one', one), contribution('two', two)])
    const schemas = document.components?.schemas ?? {}
    t.same(Object.keys(schemas), [
      'Deep',
      'Middle',
      'Problem',
      'Shared',
      'Topa',
      'Topb',
      'Violation',
      'two.Deep',
      'two.Middle'
    ])
    const ref = (name: string) => ({ $ref: `#/components/schemas/${name}` })
    t.match(schemas, {
      Topa: { properties: { middle: ref('Middle') } },
      Topb: { properties: { middle: ref('two.Middle') } },
      Middle: { properties: { deep: ref('Deep'), shared: ref('Shared') } },
      'two.Middle': { properties: { deep: ref('two.Deep'), shared: ref('Shared') } },
      'two.Deep': { properties: { b: { type: 'string' } } }
    })
    t.same(schemaAt(document, '/v1/two'), ref('Topb'))
    t.same(Object.keys(document.components?.securitySchemes ?? {}), ['bearer'])
    const result = await new Validator().validate(JSON.parse(JSON.stringify(document)))
    t.ok(result.valid, JSON.stringify(result.errors))
    t.same(
      JSON.stringify(mergeDocuments(INFO, [contribution('one', one), contribution('two', two)])),
      JSON.stringify(document),
      'the same again is the same text'
    )
  }
)

t.test('a path is whose it is first, an operationId too', async (t) => {
  const mine = documentOf({ list: getOf('/v1/same', named('Mine')), other: getOf('/v1/mine', named('Mine')) })
  const yours = documentOf({ list: getOf('/v1/yours', named('Yours')), more: getOf('/v1/same', named('Yours')) })
  const document = mergeDocuments(INFO, [contribution('mine', mine), contribution('yours', yours)])
  t.same(schemaAt(document, '/v1/same'), { $ref: '#/components/schemas/Mine' })
  const ids = Object.values(document.paths).map((item) => (item.get as { operationId: string }).operationId)
  t.same(ids, ['other', 'list', 'yours.list'])
})

t.test('documents of others, which are written otherwise', async (t) => {
  const foreign = {
    openapi: '3.1.0',
    info: { title: 'Foreign', version: '9' },
    servers: [{ url: 'http://10.0.0.7:4000' }],
    security: [{ key: [] }],
    webhooks: { x: {} },
    'x-more': { $ref: 'anything' },
    paths: {
      '/v1/foreign': {
        servers: [{ url: 'http://10.0.0.7:4001' }],
        delete: { responses: { 204: { description: 'x' } }, security: [] },
        parameters: [{ $ref: '#/components/parameters/P' }],
        get: {
          servers: [{ url: 'http://10.0.0.7:4002' }],
          operationId: 'list',
          responses: {
            200: {
              description: 'x',
              content: {
                'application/json': {
                  schema: {
                    oneOf: [{ $ref: '#/components/schemas/Post' }, { $ref: '#/components/schemas/B/properties/post' }],
                    discriminator: { propertyName: 'kind', mapping: { post: '#/components/schemas/Post', b: 'B' } }
                  },
                  example: { security: [{ nothing: 1 }], mapping: { a: '#/no/ref' } }
                }
              }
            }
          }
        }
      }
    },
    components: {
      parameters: { P: { name: 'p', in: 'query', schema: { type: 'string' } } },
      securitySchemes: {
        key: { type: 'apiKey', in: 'header', name: 'x-key' },
        unused: { type: 'http', scheme: 'basic' }
      },
      schemas: {
        Post: { type: 'object', properties: { security: { type: 'array' }, mapping: { type: 'object' } } },
        B: { properties: { post: { $ref: '#/components/schemas/Post' } } },
        __proto__: { type: 'null' }
      },
      'x-more': 1
    }
  }
  const house = documentOf({ list: getOf('/v1/house', named('Post')) })
  const other = { ...foreign, components: { ...foreign.components, securitySchemes: { key: { type: 'mutualTLS' } } } }
  const document = mergeDocuments(INFO, [
    contribution('house', house),
    contribution('foreign', foreign),
    contribution('other', JSON.parse(JSON.stringify(other).replaceAll('/v1/foreign', '/v1/other')))
  ])
  const result = await new Validator().validate(JSON.parse(JSON.stringify(document)))
  t.ok(result.valid, JSON.stringify(result.errors))
  t.notMatch(JSON.stringify(document), '10.0.0.7', 'where it runs is nobody’s business')
  const item = document.paths['/v1/foreign'] as Record<string, { security: unknown; operationId?: string }>
  t.same(Object.keys(item), ['parameters', 'get', 'delete'], 'methods stand in their order')
  t.same(item.get?.security, [{ key: [] }], 'the default of its document is its own now')
  t.same(item.delete?.security, [])
  t.equal(item.get?.operationId, 'foreign.list')
  t.match(schemaAt(document, '/v1/foreign'), {
    oneOf: [{ $ref: '#/components/schemas/foreign.Post' }, { $ref: '#/components/schemas/B/properties/post' }],
    discriminator: { mapping: { post: '#/components/schemas/foreign.Post', b: 'B' } }
  })
  t.match(document.paths['/v1/other'], { get: { security: [{ 'other.key': [] }] } })
  t.same(Object.keys(document.components?.securitySchemes ?? {}), ['bearer', 'key', 'other.key'])
})

t.test('what is no document that can be merged is refused with a reason', async (t) => {
  const base = { openapi: '3.1.1', info: { title: 'x', version: '1' }, paths: {} }
  const at = (schema: unknown) => ({ ...base, paths: { '/v1/x': { get: { requestBody: schema } } } })
  const deep = `${'['.repeat(200)}${']'.repeat(200)}`
  const cases: [unknown, RegExp][] = [
    ['not JSON', /JSON/],
    ['[]', /the document is not an object/],
    [{ ...base, openapi: '3.0.3' }, /not OpenAPI 3\.1/],
    [{ ...base, openapi: '3.2.0' }, /not OpenAPI 3\.1/],
    [{ ...base, paths: [] }, /paths is not an object/],
    [{ ...base, paths: { 'v1/x': {} } }, /v1\/x is no path/],
    [{ ...base, paths: { '/v1/x': 1 } }, /\/v1\/x is not an object/],
    [{ ...base, components: { schemas: { 'a b': {} } } }, /a b is no name/],
    [at({ $ref: 'https://elsewhere/x.json' }), /refers to https:\/\/elsewhere\/x\.json/],
    [at({ $ref: '#/paths/~1v1~1x' }), /which is not a component/],
    [at({ $ref: '#/components/schemas/Gone' }), /refers to schemas\/Gone, which is not there/],
    [at(JSON.parse(deep)), /nested more than 100 deep/]
  ]
  for (const [document, reason] of cases) {
    const text = typeof document === 'string' ? document : JSON.stringify(document)
    t.throws(() => readDocument(text), { message: reason }, text.slice(0, 60))
  }
  t.same([...readDocument(JSON.stringify(openApiOf({ ...INFO, routes: [] }))).paths], [])
})
