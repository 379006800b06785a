import type { PageOf, Problem, Profile } from '@skerry/contracts'
import { eventCollections, typeOf } from '@skerry/events'
import { connectNats, createLogger, createMetrics, managerOf, type NatsConnection, parseConfig } from '@skerry/service'
import { openStore, type Store } from '@skerry/store'
import { useStores } from '@skerry/testing'
import type { FastifyInstance } from 'fastify'
import type { Test } from 'tap'
import { buildApp } from '../../src/app.ts'
import { type Config, ConfigSchema } from '../../src/config.ts'
import { usersCollections } from '../../src/data/collections.ts'
import { startEvents } from '../../src/events.ts'
import { type Neighbours, startNeighbours } from './neighbours.ts'
import { identity, type Someone, somebody } from './people.ts'

type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
export type Answer<T> = { status: number; body: T; headers: Record<string, unknown> }
export type Client = {
  send<T = Profile & Problem>(
    method: Method,
    url: string,
    options?: { body?: unknown; headers?: Record<string, string>; at?: number }
  ): Promise<Answer<T>>
  me(): Promise<Profile>
  page(url: string): Promise<PageOf<Profile>>
}
export type SeenEvent = { subject: string; data: Record<string, unknown> }
export type System = {
  apps: FastifyInstance[]
  store: Store
  /** One of each instance. */
  stores: Store[]
  nc: NatsConnection
  /** Ends an instance's consumers and relay. */
  stopEvents(instance: number): Promise<unknown>
  neighbours: Neighbours
  /** Somebody new with a client whose requests go to the instances in turn. */
  person(username?: string, id?: string): Someone & Client
  readEvents(): Promise<SeenEvent[]>
}

/** Users as it runs, on real stores of its own: once a test file. Queries that break the rules of the store fail the test. */
export async function startUsers(t: Test, options: { instances?: number; events?: boolean } = {}): Promise<System> {
  const stores = await useStores(t)
  const level = process.env.SKERRY_LOG_LEVEL ?? 'silent'
  const config: Config = parseConfig(ConfigSchema, {
    ...stores.envFor('users'),
    LOG_LEVEL: level,
    CHECK_RESPONSES: 'true'
  })
  const log = createLogger({ service: 'users', instance: 'test', level })
  const { NATS_URL: url, NATS_USER: user, NATS_PASSWORD: password } = config
  const nc = await connectNats({ url, user, password, name: 'test' })
  t.teardown(() => nc.close())
  const neighbours = await startNeighbours(nc)
  const apps: FastifyInstance[] = []
  const opened: Store[] = []
  const stops: (() => Promise<unknown>)[] = []
  const ends: (() => Promise<unknown>)[] = []
  for (let i = 1; i <= (options.instances ?? 1); i++) {
    const store = await openStore({
      url: config.MONGO_URL,
      database: config.MONGO_DATABASE,
      collections: [...usersCollections, ...eventCollections],
      // Few connections: making one costs more than a request.
      poolSize: 10,
      checkQueries: true
    })
    const metrics = createMetrics({ service: 'users', instance: String(i), processMetrics: false })
    const events =
      options.events === false
        ? undefined
        : startEvents(store, { nc, instance: String(i), log, metrics, leaseMs: 2_000 })
    const app = buildApp({ config, store, identity, metrics, logger: log })
    await app.ready()
    apps.push(app)
    opened.push(store)
    let stopped: Promise<void> | undefined
    stops.push(() => (stopped ??= events?.stop() ?? Promise.resolve()))
    ends.push(async () => {
      await app.close()
      await store.close()
    })
  }
  t.teardown(async () => {
    // Together, so that none takes over what another gives back.
    await Promise.all(stops.map((stop) => stop()))
    for (const end of ends) await end()
  })
  return {
    apps,
    store: opened[0]!,
    stores: opened,
    nc,
    stopEvents: (instance) => stops[instance]!(),
    neighbours,
    readEvents: () => readEvents(nc),
    person(username, id) {
      const someone = somebody(username, id)
      return { ...someone, ...clientOf(apps, someone.token) }
    }
  }
}

export function clientOf(apps: readonly FastifyInstance[], token: string): Client {
  let turn = 0
  const send: Client['send'] = async (method, url, { body, headers = {}, at } = {}) => {
    const answer = await apps[(at ?? turn++) % apps.length]!.inject({
      method,
      url,
      headers: {
        authorization: `Bearer ${token}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers
      },
      ...(body === undefined ? {} : { payload: typeof body === 'string' ? body : JSON.stringify(body) })
    })
    const text = answer.body
    return { status: answer.statusCode, body: text === '' ? undefined : JSON.parse(text), headers: answer.headers }
  }
  const ok = async <T>(answer: Promise<Answer<T>>): Promise<T> => {
    const { status, body } = await answer
    if (status !== 200) throw new Error(`expected 200, got ${status}: ${JSON.stringify(body)}`)
    return body
  }
  return {
    send,
    me: () => ok(send<Profile>('GET', '/v1/users/me')),
    page: (url) => ok(send<PageOf<Profile>>('GET', url))
  }
}

async function readEvents(nc: NatsConnection): Promise<SeenEvent[]> {
  const jsm = await managerOf(nc)
  const { state } = await jsm.streams.info('users')
  const seen: SeenEvent[] = []
  for (let seq = Math.max(1, state.first_seq); seq <= state.last_seq; seq++) {
    const message = await jsm.streams.getMessage('users', { seq })
    if (message !== null) seen.push({ subject: typeOf(message.subject), data: message.json() })
  }
  return seen
}
