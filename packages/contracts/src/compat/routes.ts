import { Compile } from 'typebox/compile'
import { isStreamed, jsonBodyOf, type RouteContract } from '../route.ts'
import { type Change, differences } from './changes.ts'
import { plain } from './events.ts'
import { exampleOf, type Fullness } from './example.ts'
import { type Refusal, refusals } from './refusals.ts'
import { inWords } from './shapes.ts'

type Schema = Readonly<Record<string, unknown>>

/** What clients rely on of a route, as it was released. */
export type ReleasedRoute = {
  readonly auth: RouteContract['auth']
  readonly idempotent?: true
  readonly stream?: true
  /** Its bodies are bytes of any type. */
  readonly streamed?: true
  readonly keepsNull?: true
  readonly params?: Schema
  readonly query?: Schema
  readonly body?: Schema
  readonly response: Readonly<Record<string, Schema | null>>
  readonly errors: readonly string[]
  /** Payloads that clients send and get; of a response by its status. */
  readonly examples: {
    readonly body?: readonly unknown[]
    readonly response?: Readonly<Record<string, readonly unknown[]>>
  }
}

/** The routes of one service by `GET /v1/posts/:id`: the content of its golden file. */
export type ReleasedRoutes = Readonly<Record<string, ReleasedRoute>>

/** `GET /v1/posts/:id`. */
export function nameOf({ method, path }: RouteContract): string {
  return `${method} ${path}`
}

/** What the release of a service's routes is, in alphabetical order. */
export function releaseRoutes(routes: Iterable<RouteContract>): ReleasedRoutes {
  const entries = Array.from(routes, (route): [string, ReleasedRoute] => [nameOf(route), releaseRoute(route)])
  return Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1)))
}

function releaseRoute(route: RouteContract): ReleasedRoute {
  const shape = shapeOf(route)
  const of = (schema: unknown) => examplesFor(nameOf(route), schema)
  const responses = Object.entries(shape.response).flatMap(([status, schema]) =>
    schema === null ? [] : [[status, of(schema)] as const]
  )
  const examples = {
    ...(shape.body === undefined ? {} : { body: of(shape.body) }),
    ...(responses.length === 0 ? {} : { response: Object.fromEntries(responses) })
  }
  return { ...shape, examples }
}

function shapeOf(route: RouteContract): Omit<ReleasedRoute, 'examples'> {
  const { auth, idempotent, stream, keepsNull, params, query, response, errors } = route
  const body = jsonBodyOf(route)
  return {
    auth,
    ...(idempotent === true ? { idempotent } : {}),
    ...(stream === true ? { stream } : {}),
    ...(isStreamed(route) ? { streamed: true } : {}),
    ...(keepsNull === true && body !== undefined ? { keepsNull } : {}),
    ...(params === undefined ? {} : { params: plain(params) }),
    ...(query === undefined ? {} : { query: plain(query) }),
    ...(body === undefined ? {} : { body: plain(body) }),
    response: Object.fromEntries(
      Object.entries(response).map(([status, schema]) => [status, schema === null ? null : plain(schema)])
    ),
    errors: [...errors].sort()
  }
}

function examplesFor(name: string, schema: unknown): unknown[] {
  const make = (fullness: Fullness) => {
    try {
      return exampleOf(schema, fullness)
    } catch (error) {
      throw new Error(`${name}: ${(error as Error).message}`, { cause: error })
    }
  }
  const [full, least] = [make('full'), make('least')]
  return JSON.stringify(full) === JSON.stringify(least) ? [full] : [full, least]
}

/**
 * What has changed since a service's routes were released. A request that was taken has to be taken still; an answer has to be one that
 * the released contract describes, and may have members that it does not know. Paths are the same when they differ only in the names of
 * their parameters. Rules between the service and the gateway (limits, priorities, deadlines, caches) are no part of it.
 */
export function routeChanges(released: ReleasedRoutes, routes: Iterable<RouteContract>): Change[] {
  const declared = new Map(Array.from(routes, (route) => [anonymous(nameOf(route)), route]))
  const changes: Change[] = []
  for (const [name, before] of Object.entries(released)) {
    const route = declared.get(anonymous(name))
    declared.delete(anonymous(name))
    if (route !== undefined) changes.push(...changesOf(name, before, route))
    else
      changes.push({
        ...{
          kind: 'breaking',
          contract: name,
          path: '',
          before: 'released',
          after: 'gone',
          why: 'clients still ask for it'
        }
      })
  }
  for (const route of declared.values())
    changes.push({
      ...{ kind: 'new', contract: nameOf(route), path: '', before: 'nothing', after: route.summary, why: '' }
    })
  return changes
}

function changesOf(contract: string, before: ReleasedRoute, route: RouteContract): Change[] {
  const after = shapeOf(route)
  const found: Change[] = []
  const breaking = (path: string, from: string, to: string, why: string) =>
    found.push({ kind: 'breaking', contract, path, before: from, after: to, why })

  if (before.auth !== after.auth && !(before.auth === 'required' && after.auth === 'optional'))
    breaking('auth', before.auth, after.auth, authWhy(before.auth, after.auth))
  if (before.idempotent === true && after.idempotent !== true)
    breaking('idempotent', 'true', 'false', 'a repeat with the same Idempotency-Key would be done twice')
  if (before.keepsNull !== after.keepsNull && after.body !== undefined)
    breaking(
      'keepsNull',
      String(before.keepsNull === true),
      String(after.keepsNull === true),
      'null in a body would mean something else'
    )
  if (before.stream !== after.stream)
    breaking('stream', String(before.stream === true), String(after.stream === true), 'its answer is of another kind')
  if (before.streamed !== after.streamed)
    breaking(
      'streamed',
      String(before.streamed === true),
      String(after.streamed === true),
      'its bodies are of another kind'
    )

  for (const part of ['params', 'query', 'body'] as const) {
    const [from, to] = [renamed(part, before[part], contract), renamed(part, after[part], nameOf(route))]
    // A part without a schema takes nothing.
    const refused = refusals(from ?? NOTHING, to ?? NOTHING, 'given')
    for (const { path, given, taken, why } of refused)
      breaking(joined(part, path), given, taken, `requests that were taken would be refused: ${why}`)
    for (const { path, before: old, after: now } of defaultChanges(from, to, part))
      breaking(path, old, now, 'who sends none would get something else')
  }

  const body = after.body === undefined ? undefined : Compile(after.body)
  for (const [at, data] of (before.examples.body ?? []).entries()) {
    if (body === undefined || body.Check(data) || found.some(({ path }) => path.startsWith('body'))) continue
    const { instancePath, message } = body.Errors(data)[0] ?? {}
    breaking(`body.examples[${at}]`, 'fits', 'does not fit', `a request that was taken: ${instancePath} ${message}`)
  }

  for (const [status, schema] of Object.entries(before.response)) {
    const path = `response ${status}`
    if (!Object.hasOwn(after.response, status)) {
      breaking(path, inAnswer(schema), 'gone', 'clients look for this status')
      continue
    }
    const now = after.response[status] ?? null
    if (schema === null || now === null) {
      if (schema !== now) breaking(path, inAnswer(schema), inAnswer(now), 'clients read what they knew')
      continue
    }
    for (const { path: at, given, taken, why } of answerRefusals(now, schema))
      breaking(joined(path, at), taken, given, `clients could not read the answer: ${why}`)
  }
  for (const [status, schema] of Object.entries(after.response))
    if (!Object.hasOwn(before.response, status))
      breaking(`response ${status}`, 'nothing', inAnswer(schema), 'clients do not know this success')

  if (found.length > 0) return found
  const { examples, ...shape } = before
  return differences(shape, after).map((one) => ({
    ...{ kind: 'additive', contract, why: 'clients of the released one go on as before', ...one }
  }))
}

const NOTHING = { type: 'object', properties: {}, additionalProperties: false }

function answerRefusals(now: Schema, released: Schema): Refusal[] {
  return refusals(now, released, 'taken')
}

function authWhy(before: string, after: string): string {
  if (after === 'required') return 'who came without a token would be refused'
  return before === 'none' ? 'a token that was ignored would count' : 'who is signed in would be a stranger'
}

function inAnswer(schema: Schema | null): string {
  return schema === null ? 'empty' : inWords(schema)
}

/** `GET /v1/posts/{}`: parameters by place. */
function anonymous(name: string): string {
  return name.replaceAll(/:\w+/g, '{}')
}

/** Parameters of a path are told by place: their names are between the contract and its handlers. */
function renamed(part: string, schema: Schema | undefined, name: string): Schema | undefined {
  if (part !== 'params' || schema === undefined) return schema
  const places = [...name.matchAll(/:(\w+)/g)].map((match) => match[1])
  const numbered = (one: string) => (places.includes(one) ? `:${places.indexOf(one) + 1}` : one)
  const properties = Object.entries((schema.properties ?? {}) as object).map(([one, value]) => [numbered(one), value])
  const required = ((schema.required ?? []) as string[]).map(numbered)
  return { ...schema, properties: Object.fromEntries(properties), required }
}

/** Defaults of members that both declare. */
function defaultChanges(before: unknown, after: unknown, path: string): ReturnType<typeof differences> {
  const [from, to] = [before, after] as [Schema | undefined, Schema | undefined]
  if (typeof from !== 'object' || from === null || typeof to !== 'object' || to === null) return []
  const own = differences(from.default, to.default, path)
  const members = Object.entries((from.properties ?? {}) as object).flatMap(([name, schema]) =>
    defaultChanges(schema, (to.properties as Record<string, unknown> | undefined)?.[name], `${path}.${name}`)
  )
  return [...own, ...members, ...defaultChanges(from.items, to.items, `${path}[]`)]
}

function joined(part: string, path: string): string {
  return path === '' ? part : `${part}.${path}`
}
