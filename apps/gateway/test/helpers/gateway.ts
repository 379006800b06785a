import { Writable } from 'node:stream'
import type { AddressInfo } from 'node:net'
import { openRedis, type RedisLink } from '@skerry/cache'
import {
  connectNats,
  createLogger,
  createMetrics,
  ensureBuckets,
  type Instance,
  type Metrics,
  type NatsConnection,
  openIdentity,
  publishIdentity,
  watchRegistry
} from '@skerry/service'
import type { Test } from 'tap'
import { buildGateway, type Gateway } from '../../src/app.ts'
import { readConfig } from '../../src/config.ts'
import { openStores, type TestStores } from './stores.ts'
import { createIssuer } from './tokens.ts'
import { until } from './until.ts'

export type TestGateway = {
  gateway: Gateway
  url: string
  port: number
  nc: NatsConnection
  stores: TestStores
  metrics: Metrics
  redis: RedisLink | undefined
  issuer: ReturnType<typeof createIssuer>
  /** What it logged, parsed. */
  lines: Record<string, unknown>[]
  /** Waits until so many instances of a service take traffic. */
  live(service: string, count: number): Promise<void>
}

/** A gateway in this process on a real registry, identity and (if asked for) Redis. */
export async function startGateway(
  t: Test,
  options: { env?: Record<string, string>; redis?: boolean | string } = {}
): Promise<TestGateway> {
  const stores = await openStores(t)
  const { natsUrl, natsUser, natsPassword } = stores
  const nc = await connectNats({ url: natsUrl, user: natsUser, password: natsPassword, name: 'gateway-test' })
  t.teardown(() => nc.close())
  await ensureBuckets(nc)
  const issuer = createIssuer()
  await (await publishIdentity(nc)).setJwks(issuer.jwks)

  const config = readConfig({
    NATS_URL: natsUrl,
    NATS_USER: natsUser,
    NATS_PASSWORD: natsPassword,
    REDIS_PREFIX: stores.redisPrefix,
    PORT: '0',
    DRAIN_MS: '0',
    LOG_LEVEL: 'debug',
    ...options.env
  })
  const lines: Record<string, unknown>[] = []
  const log = createLogger(
    { service: 'gateway', instance: '1', level: config.LOG_LEVEL },
    new Writable({
      write(chunk, _encoding, done) {
        lines.push(JSON.parse(chunk.toString()))
        done()
      }
    })
  )
  const redis =
    options.redis === undefined || options.redis === false
      ? undefined
      : openRedis({ url: options.redis === true ? stores.redisUrl : options.redis, log })
  if (redis !== undefined) {
    t.teardown(() => redis.close())
    await until(() => redis.connected())
  }
  const metrics = createMetrics({ service: 'gateway', instance: '1', processMetrics: false })
  const identity = await openIdentity(nc, { log })
  await until(() => identity.ready())
  const gateway = await buildGateway({ config, log, metrics, identity, redis, checks: {} })
  let live: Instance[] = []
  const registry = await watchRegistry(nc, (instances) => {
    live = instances
    gateway.update(instances)
  })
  await gateway.app.listen({ host: '127.0.0.1', port: 0 })
  t.teardown(async () => {
    await gateway.app.close()
    await registry.close()
    await gateway.close()
    await identity.close()
  })
  const { port } = gateway.app.server.address() as AddressInfo
  return {
    gateway,
    url: `http://127.0.0.1:${port}`,
    port,
    nc,
    stores,
    metrics,
    redis,
    issuer,
    lines,
    live: (service, count) => until(() => live.filter((one) => one.service === service).length === count)
  }
}
