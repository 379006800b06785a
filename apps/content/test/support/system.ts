import { eventCollections, typeOf } from '@skerry/events'
import { connectNats, createLogger, createMetrics, managerOf, type NatsConnection, parseConfig } from '@skerry/service'
import { idempotencyKeys, openStore, type Store } from '@skerry/store'
import { useStores, waitFor } from '@skerry/testing'
import type { FastifyInstance } from 'fastify'
import type { Test } from 'tap'
import { buildApp, buildDeps } from '../../src/app.ts'
import { type Config, ConfigSchema } from '../../src/config.ts'
import { contentCollections } from '../../src/data/collections.ts'
import type { Deps } from '../../src/domain/deps.ts'
import { startEvents } from '../../src/events.ts'
import { type Client, clientOf } from './client.ts'
import { identity, type Someone, somebody } from './people.ts'
import { fakeUsers, type Users } from './users.ts'

export type Instance = {
  app: FastifyInstance
  store: Store
  deps: Deps
  /** Ends this instance's consumers and relay. */
  stopEvents(): Promise<void>
}

export type System = {
  instances: Instance[]
  first: Instance
  /** Publishes what the users service would. */
  users: Users
  /** Somebody new with a client each: requests go to the instances in turn, or to one. */
  person(name?: string): Someone & Client
  store: Store
  nc: NatsConnection
  /** Moves the clock that jobs go by. */
  clock: { offsetMs: number }
  /** All events in the stream of content. */
  readEvents(): Promise<SeenEvent[]>
}

export type SeenEvent = { subject: string; data: Record<string, unknown>; traceparent: string | undefined }

type Options = { instances?: number; config?: Partial<Config>; events?: boolean }

/** Content as it runs, on real stores of its own: once a test file. Queries that break the rules of the store fail the test. */
export async function startContent(t: Test, options: Options = {}): Promise<System> {
  const stores = await useStores(t)
  const config: Config = {
    ...parseConfig(ConfigSchema, {
      ...stores.envFor('content'),
      LOG_LEVEL: process.env.SKERRY_LOG_LEVEL ?? 'silent',
      CHECK_RESPONSES: 'true',
      AUTHOR_TTL_MS: '0',
      FOLLOW_TTL_MS: '0'
    }),
    ...options.config
  }
  const log = createLogger({ service: 'content', instance: 'test', level: config.LOG_LEVEL })
  const nc = await connectNats({
    url: config.NATS_URL,
    user: config.NATS_USER,
    password: config.NATS_PASSWORD,
    name: 'test'
  })
  t.teardown(() => nc.close())
  const users = await fakeUsers(nc)
  const clock = { offsetMs: 0 }
  const instances: Instance[] = []
  for (let i = 1; i <= (options.instances ?? 1); i++) {
    const store = await openStore({
      url: config.MONGO_URL,
      database: config.MONGO_DATABASE,
      collections: [...contentCollections, ...eventCollections, idempotencyKeys],
      checkQueries: true
    })
    const metrics = createMetrics({ service: 'content', instance: String(i), processMetrics: false })
    const deps = { ...buildDeps(config, store), now: () => Date.now() + clock.offsetMs }
    const events =
      options.events === false
        ? undefined
        : startEvents(deps, { nc, instance: String(i), log, metrics, leaseMs: 2_000, jobsTickMs: 20 })
    const app = buildApp({ config, store, identity, metrics, logger: log }, deps)
    await app.ready()
    let stopped = false
    const stopEvents = async () => {
      if (!stopped) await events?.stop()
      stopped = true
    }
    instances.push({ app, store, deps, stopEvents })
  }
  t.teardown(async () => {
    for (const { stopEvents } of instances) await stopEvents()
    for (const { app } of instances) await app.close()
    for (const { store } of instances) await store.close()
  })
  return {
    instances,
    first: instances[0]!,
    users,
    clock,
    store: instances[0]!.store,
    nc,
    readEvents: () => readEvents(nc),
    person: (name) => {
      const someone = somebody(name)
      return { ...someone, ...clientOf(instances, someone.token) }
    }
  }
}

/** Waits until `check` gives something, and resolves with it. */
export async function eventually<T>(what: string, check: () => Promise<T | undefined | false>): Promise<T> {
  let value: T | undefined | false
  const holds = async () => {
    value = await check()
    return value !== undefined && value !== false
  }
  await waitFor(holds, { message: what })
  return value as T
}

async function readEvents(nc: NatsConnection): Promise<SeenEvent[]> {
  const jsm = await managerOf(nc)
  const { state } = await jsm.streams.info('content')
  const seen: SeenEvent[] = []
  for (let seq = Math.max(1, state.first_seq); seq <= state.last_seq; seq++) {
    const message = await jsm.streams.getMessage('content', { seq })
    // Runs of jobs are there as well, whenever they are due.
    if (message === null || message.subject.startsWith('content.job.')) continue
    seen.push({
      subject: typeOf(message.subject),
      data: message.json(),
      traceparent: message.header.get('traceparent')
    })
  }
  return seen
}
