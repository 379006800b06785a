import {
  authRoutes,
  conduitRoutes,
  contentRoutes,
  gatewayRoutes,
  type RouteContract,
  realtimeRoutes,
  SkerryError,
  usersRoutes
} from '@skerry/contracts'
import { allocatedBytes, startBlockCounter } from '@skerry/testing'
import t from 'tap'
import type { TSchema } from 'typebox'
import { route } from '../src/index.ts'
import { MapStore } from './support/map-store.ts'
import { createServer, createTokens } from './support/server.ts'

/** Twice the input may cost a little more than twice the work: what is sorted, and what a hash table grows by. */
const MOST = 2.5
/** Elements or members of a body, and characters of a query, which also fit twice into what a service takes. */
const N = 1_000
const QUERY_N = 3_200

const all = [authRoutes, usersRoutes, contentRoutes, realtimeRoutes, conduitRoutes, gatewayRoutes]
const routes = all
  .flatMap((of) => Object.values<RouteContract>(of))
  .filter(({ stream, method, path }) => stream !== true && !(method === 'GET' && path.includes('*')))
const ID = '01hzy3k5m2q8v7w4x6t9r0p1n2'

type Node = TSchema & { type?: string; properties?: Record<string, Node>; items?: Node; anyOf?: Node[] }
/** Inputs of one length that take the place of one member, measured together. */
type Group = { name: string; make(n: number): unknown[] }

const textsOf = (n: number) => [
  'a'.repeat(n),
  `a${'\u0301'.repeat(n)}`,
  'a,'.repeat(n / 2),
  `a@${'a.'.repeat(n / 2)}`,
  `a${' '.repeat(n)}b`
]
const valuesOf = (n: number): unknown[] => [
  Array.from({ length: n }, () => 'a'),
  Array.from({ length: n }, () => ({ a: 1 })),
  Array.from({ length: n }, (_, i) => `t${i}`),
  Object.fromEntries(Array.from({ length: n }, (_, i) => [`k${i}`, 1])),
  Array.from({ length: n }, () => null),
  Object.fromEntries(Array.from({ length: n }, (_, i) => [`k${i}`, null])),
  ...textsOf(n)
]

function groupsOf(node: Node, at: string, wrap: (value: unknown) => unknown): Group[] {
  const inner = (node.anyOf ?? [node]).flatMap((branch) => [
    ...Object.entries(branch.properties ?? {}).flatMap(([name, member]) =>
      groupsOf(member, `${at}.${name}`, (value) => wrap({ [name]: value }))
    ),
    ...(branch.items === undefined ? [] : groupsOf(branch.items, `${at}[]`, (value) => wrap([value])))
  ])
  return [{ name: at, make: (n) => valuesOf(n).map(wrap) }, ...inner]
}

function queriesOf({ query }: RouteContract): Group[] {
  const names = ['unknown', ...Object.keys((query as Node | undefined)?.properties ?? {})]
  return names.map((name) => ({
    name: `query.${name}`,
    make: (n) => [
      ...textsOf(n / 4).map((text) => `${name}=${encodeURIComponent(text)}`),
      `${name}=1&`.repeat(n / 8),
      Array.from({ length: n / 8 }, (_, i) => `${name}${i}=1`).join('&')
    ]
  }))
}

/** Blocks of JavaScript that were executed, and bytes that were allocated: native code that copies shows in these alone. */
type Cost = { blocks: number; bytes: number }
const UNKNOWN: Cost = { blocks: Number.POSITIVE_INFINITY, bytes: Number.POSITIVE_INFINITY }

t.test('the worst input of each route costs work that grows with its length alone', async (t) => {
  const tokens = await createTokens()
  const { app } = createServer(t, {
    identity: tokens.identity,
    idempotency: new MapStore(),
    config: { LOG_LEVEL: 'fatal', CHECK_RESPONSES: 'false' }
  })
  for (const contract of routes)
    route(app, contract, () => {
      throw new SkerryError('NOT_FOUND')
    })
  await app.ready()
  const authorization = `Bearer ${await tokens.sign({ sub: ID, sid: ID })}`
  const counter = await startBlockCounter()
  t.teardown(() => counter.stop())
  let keys = 0

  const send = async (contract: RouteContract, query: string, body?: unknown) => {
    const { statusCode } = await app.inject({
      method: contract.method,
      url: `${contract.path.replaceAll(/:\w+/g, () => ID)}${query === '' ? '' : `?${query}`}`,
      headers: {
        authorization,
        ...(body === undefined ? {} : { 'content-type': 'application/json', 'idempotency-key': `k${keys++}` })
      },
      ...(body === undefined ? {} : { payload: JSON.stringify(body) })
    })
    return statusCode
  }

  async function judge(at: string, { name, make }: Group, n: number, ask: (input: unknown) => Promise<number>) {
    const run = async (inputs: unknown[]) => {
      const statuses: number[] = []
      for (const input of inputs) statuses.push(await ask(input))
      return statuses
    }
    // Both lengths have to meet the same answers: what is taken goes further than what is refused. The first runs are not counted,
    // so that nothing is that is made at first use.
    let length = n
    while (String(await run(make(length))) !== String(await run(make(2 * length)))) length *= 2
    const [once, twice] = [make(length), make(2 * length)]
    let statuses: number[] = []
    const measure = async (least: readonly [Cost, Cost]): Promise<[Cost, Cost]> => {
      const bytes: number[] = []
      const blocks = await counter.countEach(
        [once, twice].map((inputs) => async () => {
          const from = allocatedBytes()
          statuses = await run(inputs)
          bytes.push(allocatedBytes() - from)
        })
      )
      const costs = least.map((one, i) => ({
        blocks: Math.min(blocks[i]!, one.blocks),
        bytes: Math.min(bytes[i]!, one.bytes)
      }))
      return costs as [Cost, Cost]
    }
    let [cost, double]: [Cost, Cost] = [UNKNOWN, UNKNOWN]
    const isLinear = (what: keyof Cost) => double[what] <= MOST * cost[what]
    // What else the process does meanwhile (timers, a collection) is counted too, and only adds: the least of three says what the work costs.
    for (let i = 0; i < 3; i++) {
      ;[cost, double] = await measure([cost, double])
      if (isLinear('blocks') && isLinear('bytes')) break
    }
    for (const what of ['blocks', 'bytes'] as const)
      t.ok(isLinear(what), `${at} ${name}: ${cost[what]} ${what}, twice as long ${double[what]}`)
    t.ok(
      statuses.every((status) => status >= 400 && status < 500),
      `${at} ${name}: ${statuses}`
    )
  }

  t.ok(routes.length > 30, `${routes.length} routes`)
  for (const contract of routes) {
    const at = `${contract.method} ${contract.path}`
    for (const group of queriesOf(contract)) await judge(at, group, QUERY_N, (query) => send(contract, query as string))
    if (contract.method === 'GET') continue
    for (const group of groupsOf((contract.body ?? {}) as Node, 'body', (value) => value))
      await judge(at, group, N, (body) => send(contract, '', body))
  }
})

t.test('every array of a body has a bound', async (t) => {
  const unbounded: string[] = []
  const visit = (node: Node, at: string): void => {
    if (node.type === 'array' && (node as { maxItems?: number }).maxItems === undefined) unbounded.push(at)
    for (const [name, member] of Object.entries(node.properties ?? {})) visit(member, `${at}.${name}`)
    for (const branch of node.anyOf ?? []) visit(branch, at)
    if (node.items !== undefined) visit(node.items, `${at}[]`)
  }
  for (const { method, path, body } of routes) if (body !== undefined) visit(body as Node, `${method} ${path} body`)
  t.same(unbounded, [])
})
