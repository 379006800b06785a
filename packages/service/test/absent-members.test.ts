import { defineRoute, Strict } from '@skerry/contracts'
import t, { type Test } from 'tap'
import Type, { type TSchema } from 'typebox'
import { dropAbsentOf } from '../src/absent-members.ts'
import { route } from '../src/index.ts'
import { MapStore } from './support/map-store.ts'
import { createServer, createTokens, widget, widgetRoutes } from './support/server.ts'

const text = Type.String()
const Nullable = (schema: TSchema) => Type.Union([schema, Type.Null()])

const tokens = await createTokens()
const authorization = `Bearer ${await tokens.sign()}`

t.test('what is null for absent is taken away wherever a schema says that it may be absent', async (t) => {
  const inner = Type.Object({ a: Type.Optional(text), b: Nullable(text) })
  const schema = Type.Object({
    name: Nullable(text),
    note: Type.Optional(Nullable(text)),
    size: Type.Optional(Type.Integer()),
    inner: Type.Optional(Nullable(inner)),
    list: Type.Optional(Type.Array(inner)),
    map: Type.Record(text, inner),
    flags: Type.Record(text, Nullable(text)),
    any: Type.Unknown(),
    maybe: Type.Optional(Type.Unknown())
  })
  const of = (value: unknown) => {
    const dropped = dropAbsentOf(schema)?.(value)
    return { value, dropped }
  }
  t.strictSame(of({ name: null, note: null, size: null, maybe: null }), { value: { name: null }, dropped: true })
  t.strictSame(of({ inner: { a: null, b: null }, list: [{ a: 'x' }, { a: null }, null] }), {
    value: { inner: { b: null }, list: [{ a: 'x' }, {}, null] },
    dropped: true
  })
  t.strictSame(of({ map: { x: { a: null, b: null }, a: null } }), {
    value: { map: { x: { b: null }, a: null } },
    dropped: true
  })
  const kept = { name: null, flags: { a: null }, any: { a: null, list: [null] }, maybe: { note: null }, other: null }
  t.strictSame(of(structuredClone(kept)), { value: kept, dropped: false })
  for (const odd of [null, undefined, 'x', 7, [], [null], { list: 'x', inner: [null], map: [null] }])
    t.strictSame(of(structuredClone(odd)), { value: odd, dropped: false })
})

t.test('in an edit an empty list or map stands for absent, too', async (t) => {
  const list = Type.Array(text)
  const schema = Type.Object({
    list: Type.Optional(Nullable(list)),
    map: Type.Optional(Type.Record(text, text)),
    object: Type.Optional(Type.Object({ a: Type.Optional(list) })),
    any: Type.Optional(Type.Unknown()),
    needed: list
  })
  const empty = () => ({ list: [], map: {}, object: {}, any: [], needed: [] })
  const one: unknown = empty()
  t.ok(dropAbsentOf(schema, true)?.(one))
  t.strictSame(one, { object: {}, any: [], needed: [] })
  const two: unknown = empty()
  t.notOk(dropAbsentOf(schema)?.(two))
  t.strictSame(two, empty())
  const full: unknown = { list: ['a'], map: { a: 'a' }, object: { a: [] } }
  t.ok(dropAbsentOf(schema, true)?.(full))
  t.strictSame(full, { list: ['a'], map: { a: 'a' }, object: {} })
})

t.test('of several forms a member is optional when none requires it', async (t) => {
  const a = Type.Object({ kind: text, x: Type.Optional(text), y: text })
  const b = Type.Object({ kind: Type.Optional(text), x: Type.Optional(text), z: Type.Optional(text) })
  const value = { kind: null, x: null, y: null, z: null }
  for (const schema of [Type.Union([a, b]), Type.Intersect([a, b])]) {
    const one = { ...value }
    dropAbsentOf(schema)?.(one)
    t.strictSame(one, { kind: null, y: null })
  }
})

t.test('a schema with nothing optional costs nothing', async (t) => {
  t.equal(dropAbsentOf(Strict({ login: text, list: Type.Array(Type.Object({ a: text })) })), undefined)
  t.equal(dropAbsentOf(Type.Optional(Type.Unknown())), undefined)
  t.equal(dropAbsentOf(text), undefined)
})

const MERGE_PATCH = 'application/merge-patch+json'
const body = Strict(
  { name: Type.Optional(text), note: Type.Optional(Nullable(text)), tags: Type.Optional(Type.Array(text)) },
  { minProperties: 1 }
)

function serve(t: Test) {
  const { app } = createServer(t, { identity: tokens.identity, idempotency: new MapStore() })
  const seen: unknown[] = []
  const update = defineRoute({ ...widgetRoutes.update, body })
  route(app, update, (input) => {
    seen.push(input.body)
    return widget
  })
  route(app, widgetRoutes.create, (input) => {
    seen.push(input.body)
    return widget
  })
  route(app, widgetRoutes.remove, () => undefined)
  route(app, defineRoute({ ...update, method: 'PUT', keepsNull: true }), (input) => {
    seen.push(input.body)
    return widget
  })
  const send = async (
    method: 'POST' | 'PUT' | 'PATCH' | 'DELETE',
    payload: unknown,
    headers: Record<string, string>
  ) => {
    const url = method === 'POST' ? '/v1/widgets' : '/v1/widgets/w1'
    const text = typeof payload === 'string' ? payload : JSON.stringify(payload)
    const answer = await app.inject({ method, url, payload: text, headers: { authorization, ...headers } })
    return { status: answer.statusCode, headers: answer.headers, body: answer.body === '' ? undefined : answer.json() }
  }
  const json = { 'content-type': 'application/json' }
  const patch = { 'content-type': MERGE_PATCH }
  return { send, seen, json, patch }
}

t.test('in JSON null means absent, in a merge patch it is a value', async (t) => {
  const { send, seen, json, patch } = serve(t)
  const asked = { name: 'a', note: null, tags: null }
  t.equal((await send('PATCH', asked, json)).status, 200)
  t.equal((await send('PATCH', { ...asked, tags: [] }, json)).status, 200)
  t.equal((await send('POST', { ...asked, tags: [] }, json)).status, 201)
  t.equal((await send('PATCH', { tags: [] }, patch)).status, 200)
  t.equal(
    (await send('PATCH', { name: 'a', note: null }, { 'content-type': `${MERGE_PATCH.toUpperCase()}; charset=utf-8` }))
      .status,
    200
  )
  t.equal((await send('PUT', { name: 'a', note: null }, json)).status, 200, 'as its contract says')
  const both = { name: 'a', note: null }
  t.strictSame(seen, [{ name: 'a' }, { name: 'a' }, { name: 'a', tags: [] }, { tags: [] }, both, both])
  t.match(await send('PATCH', asked, patch), { status: 400, body: { errors: [{ path: 'body.tags', code: 'type' }] } })
  t.match(await send('POST', { name: null }, json), { status: 400, body: { errors: [{ path: 'body.name' }] } })
})

t.test('who sends nothing but nulls is told why nothing is left', async (t) => {
  const { send, json, patch } = serve(t)
  const [violation] = (await send('PATCH', { note: null }, json)).body.errors
  t.match(violation, {
    path: 'body',
    code: 'too_few',
    message: /null and empty lists mean absent, except in application\/merge-patch\+json$/
  })
  t.equal((await send('PATCH', { note: null, tags: [] }, json)).status, 400)
  t.notMatch((await send('PATCH', {}, json)).body.errors[0].message, /null/)
  t.equal((await send('PATCH', { note: null }, patch)).status, 200)
})

t.test('a merge patch is for PATCH alone, and a PATCH of another type hears what would do', async (t) => {
  const { send, patch } = serve(t)
  for (const method of ['POST', 'PUT', 'DELETE'] as const) {
    const refused = await send(method, { name: 'a' }, patch)
    t.match(refused, { status: 415, body: { code: 'UNSUPPORTED_MEDIA_TYPE' } }, method)
    t.notOk(refused.headers['accept-patch'], method)
  }
  t.equal((await send('DELETE', '', patch)).status, 204, 'a body that is none is of no type')
  const refused = await send('PATCH', '[]', { 'content-type': 'application/json-patch+json' })
  t.match(refused, { status: 415, headers: { 'accept-patch': `application/json, ${MERGE_PATCH}` } })
  t.match(await send('PATCH', '{"name":', patch), { status: 400, body: { code: 'BAD_JSON' } })
  t.match(await send('PATCH', '{"name":"\\u0000"}', patch), { status: 400, body: { errors: [{ code: 'text' }] } })
})

t.test('for an idempotency key null and absent are one body', async (t) => {
  const { send, seen, json } = serve(t)
  const keyed = { ...json, 'idempotency-key': 'k' }
  t.equal((await send('POST', { name: 'a' }, keyed)).status, 201)
  const again = await send('POST', { name: 'a', note: null, size: null }, keyed)
  t.match(again, { status: 201, headers: { 'idempotency-replayed': 'true' } })
  t.equal((await send('POST', { name: 'a', note: 'n' }, keyed)).status, 422)
  t.equal(seen.length, 1)
})
