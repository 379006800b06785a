import { generateKeyPairSync } from 'node:crypto'
import { openRedis } from '@skerry/cache'
import type { Grant, Problem } from '@skerry/contracts'
import { eventCollections, typeOf } from '@skerry/events'
import {
  connectNats,
  createLogger,
  createMetrics,
  ensureBuckets,
  type Identity,
  managerOf,
  type NatsConnection,
  openIdentity,
  parseConfig,
  publishIdentity
} from '@skerry/service'
import { idempotencyKeys, openStore, type Store } from '@skerry/store'
import { type TestStores, useStores } from '@skerry/testing'
import type { FastifyInstance } from 'fastify'
import type { Test } from 'tap'
import { buildApp } from '../../src/app.ts'
import { type Config, ConfigSchema } from '../../src/config.ts'
import { authCollections } from '../../src/data/collections.ts'
import { readSigningKey, type SigningKey } from '../../src/domain/signing-key.ts'
import { startEvents } from '../../src/events.ts'
import { keepIdentity } from '../../src/keep-identity.ts'
import { createTellRevoked } from '../../src/revocations.ts'
import { cheapHashes } from './cheap-hashes.ts'

export type Instance = { app: FastifyInstance; store: Store; identity: Identity }
export type Answer<T = unknown> = { status: number; body: T; headers: Record<string, unknown> }
export type Clock = { now: number }
export type System = {
  instances: Instance[]
  /** Ends an instance's consumers, relay and jobs. */
  stopEvents(instance: number): Promise<unknown>
  /** The database without anybody watching the queries. */
  peek(collection: string): Promise<Record<string, unknown>[]>
  store: Store
  nc: NatsConnection
  signingKey: SigningKey
  stores: TestStores
  config: Config
  /** Moves all instances' time; undefined: the real one. */
  clock: { offsetMs: number }
  /** A request to the instances in turn, or to one of them. */
  call<T = Grant & Problem>(
    method: 'GET' | 'POST' | 'PATCH' | 'DELETE' | 'PUT',
    url: string,
    options?: { body?: unknown; token?: string; headers?: Record<string, string>; at?: number }
  ): Promise<Answer<T>>
  /** The same, again while it is refused for now, as every client does: a busy machine may take a request only later. */
  persist<T = Grant & Problem>(...args: Parameters<System['call']>): Promise<Answer<T>>
  signUp(name?: string): Promise<Grant & { email: string; password: string; username: string }>
  /** All events in the stream of auth. */
  readEvents(): Promise<{ subject: string; data: Record<string, unknown>; traceparent: string }[]>
}

/** A fresh private key as its owner would configure it. */
export function newSigningKey(): string {
  return JSON.stringify(generateKeyPairSync('ed25519').privateKey.export({ format: 'jwk' }))
}

type Options = { instances?: number; config?: Partial<Config>; redis?: boolean }

/** Auth as it runs, on real stores of its own: once a test file. Queries that break the rules of the store fail the test. */
export async function startAuth(t: Test, options: Options = {}): Promise<System> {
  cheapHashes(t)
  const stores = await useStores(t)
  const env = { ...stores.envFor('auth'), AUTH_SIGNING_KEY: newSigningKey() }
  const level = process.env.SKERRY_LOG_LEVEL ?? 'silent'
  const config: Config = {
    ...parseConfig(ConfigSchema, { ...env, LOG_LEVEL: level, CHECK_RESPONSES: 'true' }),
    ...options.config
  }
  const signingKey = readSigningKey(config.AUTH_SIGNING_KEY, config.AUTH_VERIFY_KEYS)
  const log = createLogger({ service: 'auth', instance: 'test', level })
  const { NATS_URL: url, NATS_USER: user, NATS_PASSWORD: password } = config
  const nc = await connectNats({ url, user, password, name: 'test' })
  t.teardown(() => nc.close())
  await ensureBuckets(nc)
  const clock = { offsetMs: 0 }
  const plain = await openStore({ url: config.MONGO_URL, database: config.MONGO_DATABASE, collections: [] })
  const stops: (() => Promise<unknown>)[] = []
  const ends: (() => Promise<unknown>)[] = []
  const instances: Instance[] = []
  for (let i = 1; i <= (options.instances ?? 1); i++) {
    const store = await openStore({
      url: config.MONGO_URL,
      database: config.MONGO_DATABASE,
      collections: [...authCollections, ...eventCollections, idempotencyKeys],
      // Few connections: making one costs more than a request.
      poolSize: 10,
      checkQueries: true
    })
    const accessTtlMs = config.ACCESS_TTL_S * 1000
    const keeper = await keepIdentity({ nc, store, jwks: signingKey.jwks, accessTtlMs, log })
    const identity = await openIdentity(nc, { log })
    const publisher = publishIdentity(nc)
    const metrics = createMetrics({ service: 'auth', instance: String(i), processMetrics: false })
    const events = await startEvents(store, {
      nc,
      instance: String(i),
      log,
      metrics,
      publisher,
      accessTtlMs,
      leaseMs: 2_000,
      jobsTickMs: 20,
      now: () => Date.now() + clock.offsetMs
    })
    const redis =
      options.redis === false ? undefined : openRedis({ url: config.REDIS_URL ?? '', commandTimeoutMs: 30_000, log })
    const tellRevoked = createTellRevoked({ identity, publisher, accessTtlMs, log })
    const now = () => Date.now() + clock.offsetMs
    const app = buildApp({ config, store, signingKey, identity, metrics, tellRevoked, redis, logger: log, now })
    await app.ready()
    instances.push({ app, store, identity })
    let stopped: Promise<unknown> | undefined
    stops.push(() => (stopped ??= events.stop()))
    ends.push(async () => {
      await app.close()
      await keeper.close()
      await identity.close()
      await redis?.close()
      await store.close()
    })
  }
  t.teardown(async () => {
    // Together, so that none takes over what another gives back.
    await Promise.all(stops.map((stop) => stop()))
    for (const end of ends) await end()
    await plain.close()
  })

  let turn = 0
  let people = 0
  const call: System['call'] = async (method, url, { body, token, headers = {}, at } = {}) => {
    const { app } = instances[(at ?? turn++) % instances.length]!
    const answer = await app.inject({
      method,
      url,
      headers: { ...(token === undefined ? {} : { authorization: `Bearer ${token}` }), ...headers },
      ...(body === undefined ? {} : { payload: body as object })
    })
    const text = answer.body
    return { status: answer.statusCode, body: text === '' ? undefined : JSON.parse(text), headers: answer.headers }
  }
  const persist: System['persist'] = async <T>(...args: Parameters<System['call']>) => {
    for (;;) {
      const answer = await call<T>(...args)
      if (answer.status !== 503 || answer.headers['retry-after'] === undefined) return answer
    }
  }
  return {
    instances,
    stopEvents: (instance) => stops[instance]!(),
    peek: (collection) => plain.db.collection(collection).find().toArray(),
    store: instances[0]!.store,
    nc,
    signingKey,
    stores,
    config,
    clock,
    call,
    persist,
    readEvents: () => readEvents(nc),
    async signUp(name = `person${++people}`) {
      const someone = { email: `${name}@example.org`, password: `the password of ${name}`, username: name }
      const { status, body } = await persist('POST', '/v1/auth/signup', { body: someone })
      if (status !== 201) throw new Error(`sign-up answered ${status}: ${JSON.stringify(body)}`)
      return { ...body, ...someone }
    }
  }
}

async function readEvents(nc: NatsConnection) {
  const jsm = await managerOf(nc)
  const { state } = await jsm.streams.info('auth')
  const seen = []
  for (let seq = Math.max(1, state.first_seq); seq <= state.last_seq; seq++) {
    const message = await jsm.streams.getMessage('auth', { seq })
    // Runs of jobs are there as well, whenever they are due.
    if (message === null || message.subject.startsWith('auth.job.')) continue
    const data = message.json<Record<string, unknown>>()
    seen.push({ subject: typeOf(message.subject), data, traceparent: message.header.get('traceparent') })
  }
  return seen
}
