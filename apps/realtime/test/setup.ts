import { generateKeyPairSync, randomUUID, sign } from 'node:crypto'
import type { AddressInfo } from 'node:net'
import { jetstream, jetstreamManager } from '@nats-io/jetstream'
import { type DataOf, type EventContract, orderKeyOf, ownerOf, wireSubject } from '@skerry/contracts'
import { eventCollections, eventMetrics, type Owned, toHeaders } from '@skerry/events'
import {
  connectNats,
  createIdentityFromJwks,
  createLogger,
  createMetrics,
  type Identity,
  type Metrics,
  type NatsConnection,
  parseConfig
} from '@skerry/service'
import { newId, openStore, randomBucket, type Store } from '@skerry/store'
import { waitFor } from '@skerry/testing'
import type { FastifyInstance } from 'fastify'
import { buildApp } from '../src/app.ts'
import { type RealtimeConfig, RealtimeConfigSchema } from '../src/config.ts'
import { realtimeCollections } from '../src/data/collections.ts'
import { startEvents } from '../src/events.ts'
import { type LiveLog, openLiveLog } from '../src/log/live-log.ts'
import type { Streams } from '../src/streams/streams.ts'

type Tap = { teardown(work: () => Promise<void>): unknown }
export type Where = { mongoUrl: string; database: string; nats: { url: string; user: string; password: string } }

/** One instance of realtime in this process, and what a test wants to look into. */
export type Instance = {
  url: string
  app: FastifyInstance
  streams: Streams
  live: LiveLog
  store: Store
  nc: NatsConnection
  metrics: Metrics
  config: RealtimeConfig
  events: Owned | undefined
  close(): Promise<void>
}

const { publicKey, privateKey } = generateKeyPairSync('ed25519')
/** The public key of `tokenFor`. */
export const jwk = { ...publicKey.export({ format: 'jwk' }), alg: 'EdDSA', use: 'sig', kid: 'test' }

export function newIdentity(key: object = jwk): Identity {
  return createIdentityFromJwks({ keys: [key as never] })
}

export function newUserId(): string {
  return newId(randomBucket())
}

/** An access token, as auth makes them. `seconds`: how long it holds. */
export function tokenFor(userId: string, options: { sessionId?: string; seconds?: number } = {}): string {
  const iat = Math.floor(Date.now() / 1000)
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const head = part({ alg: 'EdDSA', typ: 'at+jwt', kid: 'test' })
  const claims = part({
    iss: 'skerry',
    aud: 'skerry',
    sub: userId,
    sid: options.sessionId ?? newUserId(),
    usr: 'ada',
    dnm: 'Ada',
    aat: iat,
    iat,
    exp: iat + (options.seconds ?? 600),
    jti: randomUUID()
  })
  return `${head}.${claims}.${sign(null, Buffer.from(`${head}.${claims}`), privateKey).toString('base64url')}`
}

export async function startInstance(
  t: Tap,
  where: Where,
  options: { instance?: string; events?: boolean; identity?: Identity; env?: Record<string, string> } = {}
): Promise<Instance> {
  const instance = options.instance ?? '1'
  const config = parseConfig(RealtimeConfigSchema, {
    SKERRY_INSTANCE: instance,
    MONGO_URL: where.mongoUrl,
    MONGO_DATABASE: where.database,
    NATS_URL: where.nats.url,
    NATS_USER: where.nats.user,
    NATS_PASSWORD: where.nats.password,
    LOG_LEVEL: process.env.LOG_LEVEL ?? 'fatal',
    LOG_MAX_BYTES: '33554432',
    ...options.env
  })
  const log = createLogger({ service: 'realtime', instance, level: config.LOG_LEVEL })
  const metrics = createMetrics({ service: 'realtime', instance, processMetrics: false })
  const nc = await connectNats({ ...where.nats, name: `realtime.${instance}` })
  const store = await openStore({
    url: where.mongoUrl,
    database: where.database,
    collections: [...realtimeCollections, ...eventCollections],
    checkQueries: true
  })
  const limits = { messages: config.LOG_MESSAGES, ageMs: config.LOG_AGE_MS, bytes: config.LOG_MAX_BYTES }
  const live = await openLiveLog(nc, limits, log)
  const identity = options.identity ?? newIdentity()
  const { app, streams } = await buildApp({ config, store, live, identity, metrics, logger: log })
  let events: Owned | undefined
  if (options.events) {
    await makeStreams(nc)
    events = startEvents({
      store,
      nc,
      instance,
      fanOut: { store, log: live, messageBytes: config.MESSAGE_BYTES, delivered() {} },
      part: { store, log: live },
      log,
      metrics: eventMetrics(metrics)
    })
  }
  await app.listen({ host: '127.0.0.1', port: 0 })
  const { port } = app.server.address() as AddressInfo
  let closing: Promise<void> | undefined
  const close = () => {
    closing ??= (async () => {
      const stopped = events?.stop()
      live.close()
      await stopped
      await app.close()
      await store.close()
      await nc.close()
    })()
    return closing
  }
  t.teardown(close)
  if (events !== undefined) await waitFor(() => events.attached(), { message: 'the consumers are attached' })
  return { url: `http://127.0.0.1:${port}`, app, streams, live, store, nc, metrics, config, events, close }
}

async function makeStreams(nc: NatsConnection): Promise<void> {
  const jsm = await jetstreamManager(nc, { checkAPI: false })
  for (const name of ['content', 'users']) await jsm.streams.add({ name, subjects: [`${name}.>`], allow_direct: true })
}

/** Puts an event into its stream as its service's relay would, also a second time under the same id. Resolves with its id. */
export async function emit<E extends EventContract>(
  nc: NatsConnection,
  event: E,
  data: DataOf<E>,
  id = newUserId()
): Promise<string> {
  const envelope = {
    id,
    subject: wireSubject(event),
    entity: event.entity(data),
    orderKey: orderKeyOf(event, data),
    time: new Date().toISOString(),
    traceparent: undefined
  }
  const headers = toHeaders(ownerOf(event), envelope)
  await jetstream(nc).publish(envelope.subject, JSON.stringify(data), { headers })
  return id
}

/** The value of a metric, summed over its labels (those given must match). */
export async function metricOf(metrics: Metrics, name: string, labels: Record<string, string> = {}): Promise<number> {
  const wanted = Object.entries(labels).map(([k, v]) => `${k}="${v}"`)
  const lines = (await metrics.text()).split('\n').filter((l) => l.startsWith(`${name}{`) || l.startsWith(`${name} `))
  return lines
    .filter((l) => wanted.every((w) => l.includes(w)))
    .reduce((sum, l) => sum + Number(l.slice(l.lastIndexOf(' ') + 1)), 0)
}
