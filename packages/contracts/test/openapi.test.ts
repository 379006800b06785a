import { Validator } from '@seriousme/openapi-schema-validator'
import t from 'tap'
import Type from 'typebox'
import * as contracts from '../src/index.ts'
import { houseErrors, type OpenApiDocument, openApiOf } from '../src/openapi/index.ts'

const { usersRoutes, gatewayRoutes, defineRoute } = contracts
const services = Object.fromEntries(Object.entries(contracts).filter(([name]) => name.endsWith('Routes'))) as Record<
  string,
  Record<string, contracts.RouteContract>
>
const all = Object.assign({}, ...Object.values(services)) as Record<string, contracts.RouteContract>
const base = { tag: 'x', summary: 'For tests.', auth: 'none', response: { 204: null }, errors: [] } as const

type Media = { schema?: { properties?: object }; examples?: Record<string, unknown> }
type Operation = {
  operationId: string
  parameters?: { $ref?: string; name?: string; in?: string; required?: boolean; schema?: object }[]
  requestBody?: { content: Record<string, { schema: unknown }> }
  responses: Record<string, { $ref?: string; content?: Record<string, Media>; headers?: object }>
  security: object[]
} & Record<`x-skerry-${string}`, unknown>

const operation = (document: OpenApiDocument, method: string, path: string) =>
  document.paths[path]?.[method] as Operation

/** Every `$ref` in a document. */
function refsOf(value: unknown): string[] {
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([name, member]) =>
    name === '$ref' && typeof member === 'string' ? [member] : refsOf(member)
  )
}

function pointedAt(document: object, ref: string): unknown {
  return ref
    .slice(2)
    .split('/')
    .reduce<unknown>((at, name) => (at as Record<string, unknown> | undefined)?.[name], document)
}

t.test('the document of each service, and of all, is valid OpenAPI 3.1 and refers only to what it has', async (t) => {
  for (const [name, routes] of Object.entries({ ...services, all })) {
    const document = JSON.parse(JSON.stringify(openApiOf({ title: name, version: '1.0.0', routes })))
    const validator = new Validator()
    const result = await validator.validate(document)
    t.ok(result.valid, `${name}: ${JSON.stringify(result.errors)}`)
    t.equal(validator.version, '3.1', name)
    const refs = refsOf(document)
    t.ok(refs.length > 0, name)
    t.same(
      refs.filter((ref) => pointedAt(document, ref) === undefined),
      [],
      name
    )
  }
})

t.test('the validator would tell: a parameter that does not say where it stands is refused', async (t) => {
  const document = JSON.parse(JSON.stringify(openApiOf({ title: 'x', version: '1', routes: usersRoutes })))
  document.paths['/v1/users/me'].get.parameters = [{ name: 'x' }]
  t.notOk((await new Validator().validate(document)).valid)
})

t.test('every route is there once, under the name of its contract, with all it takes and answers', async (t) => {
  const document = openApiOf({ title: 'all', version: '1', routes: all })
  const found = Object.values(document.paths).flatMap((item) => Object.values(item) as Operation[])
  t.same(found.map((one) => one.operationId).sort(), Object.keys(all).sort())
  for (const [name, contract] of Object.entries(all)) {
    const path = contract.path.replaceAll(/:(\w+)/g, '{$1}')
    const one = operation(document, contract.method.toLowerCase(), path)
    t.equal(one.operationId, name)
    const inline = (one.parameters ?? []).filter((parameter) => parameter.name !== undefined)
    const names = (schema: unknown) => Object.keys((schema as { properties?: object } | undefined)?.properties ?? {})
    t.same(
      inline.map((parameter) => `${parameter.in} ${parameter.name}`),
      [...names(contract.params).map((n) => `path ${n}`), ...names(contract.query).map((n) => `query ${n}`)],
      name
    )
    t.equal(one.requestBody !== undefined, contract.body !== undefined, name)
    const types = Object.keys(one.requestBody?.content ?? { 'application/json': {} })
    const patch = contract.method === 'PATCH' ? ['application/merge-patch+json'] : []
    t.same(types, ['application/json', ...patch], name)
    for (const status of Object.keys(contract.response)) t.ok(one.responses[status], `${name} ${status}`)
    for (const code of [...contract.errors, ...houseErrors(contract)]) {
      const { status } = contracts.ERRORS[code]
      if (contract.response[status] !== undefined) continue
      const response = pointedAt(document, one.responses[status]?.$ref ?? '#/none') as Operation['responses'][string]
      t.match(
        response.content?.['application/problem+json']?.examples?.[code],
        { value: { code, status } },
        `${name} ${code}`
      )
    }
    const scheme = contract.ownToken === undefined ? 'bearer' : `${contract.tag}Token`
    t.same(
      one.security,
      { none: [], optional: [{ [scheme]: [] }, {}], required: [{ [scheme]: [] }] }[contract.ownToken ?? contract.auth],
      `${name} says whether it takes a token`
    )
    t.equal(one['x-skerry-owner-only'], contract.ownerOnly, name)
    t.equal(one['x-skerry-priority'], contract.priority, name)
  }
})

t.test('headers, streams and cache policies are told', async (t) => {
  const document = openApiOf({ title: 'all', version: '1', routes: all })
  const headers = (method: string, path: string) =>
    (operation(document, method, path).parameters ?? []).flatMap(({ $ref }) => $ref?.split('/').at(-1) ?? [])
  t.same(headers('post', '/v1/posts'), ['IdempotencyKey'])
  // As services read it (`packages/service/src/idempotency.ts`): what they refuse is not promised.
  const { IdempotencyKey } = document.components?.parameters ?? {}
  const { pattern, maxLength } = (IdempotencyKey as { schema: { pattern: string; maxLength: number } }).schema
  t.equal(maxLength, 255)
  const key = new RegExp(pattern)
  for (const good of ['a', '~!', '3f0c-#']) t.match(good, key)
  for (const bad of ['', 'a b', 'ä', '\x7f', 'a\t']) t.notMatch(bad, key)
  t.same(headers('get', '/v1/posts/{id}'), ['IfNoneMatch'])
  t.same(headers('patch', '/v1/posts/{id}'), ['IfMatch'])
  t.same(headers('get', '/v1/live'), ['LastEventId'])
  t.same(headers('post', '/v1/auth/login'), [])
  t.match(operation(document, 'get', '/v1/posts/{id}').responses, {
    200: { headers: { ETag: {} } },
    304: { $ref: /NotModified/ }
  })
  const plain = openApiOf({ title: 'x', version: '1', routes: gatewayRoutes, common: () => [], tagged: () => false })
  t.same(Object.keys(operation(plain, 'get', '/livez').responses), ['200', 'default'])
  t.equal(operation(plain, 'get', '/livez').parameters, undefined)
  t.match(operation(document, 'get', '/v1/live').responses[200]?.content, { 'text/event-stream': {} })
  t.same(operation(document, 'get', '/v1/users/{id}')['x-skerry-cache'], {
    scope: 'public',
    ttl: 10,
    staleWhileRevalidate: 10,
    staleIfError: 300
  })
  t.equal(operation(document, 'post', '/v1/auth/refresh')['x-skerry-priority'], 'critical')
})

t.test('the text is the same in whatever order the contracts come', async (t) => {
  const entries = Object.entries(all)
  const text = (list: [string, contracts.RouteContract][]) =>
    JSON.stringify(openApiOf({ title: 'x', version: '1', routes: Object.fromEntries(list) }))
  const first = text(entries)
  t.equal(text(entries.toReversed()), first)
  t.equal(text([...entries.slice(7), ...entries.slice(0, 7)]), first)
  const { paths, components } = JSON.parse(first) as OpenApiDocument
  t.same(Object.keys(paths), Object.keys(paths).sort())
  for (const named of Object.values(components ?? {})) t.same(Object.keys(named), Object.keys(named).sort())
  t.same(Object.keys(paths['/v1/posts/{id}'] ?? {}), ['get', 'patch', 'delete'])
})

t.test('parts with a name are components, in the places where schemas stand and nowhere else', async (t) => {
  const Named = Type.Object({ title: Type.String() }, { $id: 'Named', examples: [{ title: 'Named' }] })
  const route = defineRoute({
    ...base,
    method: 'GET',
    path: '/v1/x',
    response: {
      200: Type.Object({
        one: Named,
        many: Type.Array(Named),
        either: Type.Union([Named, Type.Null()]),
        properties: Type.Object({ deep: Type.String({ title: 'not a name' }) }),
        preset: Type.String({ default: 'x' }),
        map: Type.Record(Type.String(), Named),
        some: Type.Record(Type.String({ pattern: '^x-' }), Named)
      })
    }
  })
  const document = openApiOf({ title: 'x', version: '1', routes: { route } })
  const ref = { $ref: '#/components/schemas/Named' }
  const { schema } = operation(document, 'get', '/v1/x').responses[200]?.content?.['application/json'] ?? {}
  t.match(schema?.properties, {
    one: ref,
    many: { items: ref },
    either: { anyOf: [ref, { type: 'null' }] },
    properties: { properties: { deep: { title: 'not a name' } } },
    map: { type: 'object', additionalProperties: ref },
    some: { type: 'object', patternProperties: { '^x-': ref } }
  })
  const { map } = (schema?.properties ?? {}) as { map?: object }
  t.same(map, { type: 'object', additionalProperties: ref })
  t.same(document.components?.schemas?.Named, {
    type: 'object',
    required: ['title'],
    properties: { title: { type: 'string' } },
    examples: [{ title: 'Named' }]
  })
})

t.test('a list of contracts gets names of its own; what cannot be one document is refused', async (t) => {
  const at = (method: contracts.Method, path: string, more: object = {}) =>
    ({ ...base, method, path, ...more }) as contracts.RouteContract
  const document = openApiOf({
    title: 'x',
    version: '1',
    routes: [at('GET', '/v1/x/:id/y-z'), at('GET', '/v1/x'), at('PUT', '/v1/x/:id/y-z')]
  })
  const ids = Object.values(document.paths).flatMap((item) => Object.values(item) as Operation[])
  t.same(
    ids.map((one) => one.operationId),
    ['getV1X', 'getV1XByIdYZ', 'putV1XByIdYZ']
  )
  const make = (routes: contracts.RouteContract[]) => () => openApiOf({ title: 'x', version: '1', routes })
  t.throws(make([at('GET', '/v1/x'), at('GET', '/v1/x')]), /GET \/v1\/x is declared twice/)
  t.throws(make([at('GET', '/v1/x/:a'), at('PUT', '/v1/x/:b')]), /\/v1\/x\/\{b\} and \/v1\/x\/\{a\} are one path/)
  t.throws(make([at('GET', '/v1/x-y'), at('GET', '/v1/x/y')]), /two routes are named getV1XY/)
  const titled = (schema: object) => ({ response: { 200: { ...schema, title: 'T' } } })
  t.throws(
    make([at('GET', '/v1/a', titled({ type: 'string' })), at('GET', '/v1/b', titled({ type: 'number' }))]),
    /two different schemas are named T/
  )
})

t.test('bodies that are streams have no schema', async (t) => {
  const upload = defineRoute({ ...base, method: 'PUT', path: '/v1/files', body: 'stream', bodyLimit: 1_000_000 })
  const download = defineRoute({
    ...{ ...base, method: 'GET', path: '/v1/files', body: 'stream', responseType: 'video/mp4' },
    response: { 200: null }
  })
  const document = JSON.parse(JSON.stringify(openApiOf({ title: 'x', version: '1', routes: { upload, download } })))
  const put = operation(document, 'put', '/v1/files')
  t.same(put.requestBody?.content, { 'application/octet-stream': {} })
  t.match(put.requestBody, { description: /1000000 at most/ })
  t.ok(put.responses[413])
  const get = operation(document, 'get', '/v1/files')
  t.same(get.responses[200]?.content, { 'video/mp4': {} })
  t.equal(get.requestBody, undefined)
})
