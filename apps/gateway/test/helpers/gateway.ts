import type { AddressInfo } from 'node:net'
import { Writable } from 'node:stream'
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
import { type TestStores, useStores, waitFor } from '@skerry/testing'
import type { Test } from 'tap'
import { buildGateway, type Gateway } from '../../src/app.ts'
import { readConfig } from '../../src/config.ts'
import type { Policy } from '../../src/policies/policy.ts'
import type { Traffic } from '../../src/traffic/traffic.ts'
import { createIssuer } from './tokens.ts'
import { announcedHere } from './upstream.ts'

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
  options: {
    env?: Record<string, string>
    redis?: boolean | string
    /** What tests of a silent Redis shorten, ms. */
    redisTimeoutMs?: number
    traffic?: Traffic
    policies?: readonly Policy[]
  } = {}
): Promise<TestGateway> {
  const stores = await useStores(t)
  const nc = await connectNats({ ...stores.nats, name: 'gateway-test' })
  t.teardown(() => nc.close())
  await ensureBuckets(nc)
  const issuer = createIssuer()
  await (await publishIdentity(nc)).setJwks(issuer.jwks)

  const config = readConfig({
    ...stores.envFor('gateway'),
    PORT: '0',
    DRAIN_MS: '0',
    // A busy machine makes requests late, and tests count them.
    HEDGE_MIN_MS: '0',
    // And answers to active checks, which come from this process as well.
    HEALTH_INTERVAL_MS: '0',
    // The test itself runs in this process, and makes its event loop late.
    PRESSURE_TARGET_MS: '60000',
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
      : openRedis({
          url: options.redis === true ? stores.redis.url : options.redis,
          // A busy machine must not look like a Redis that is away.
          commandTimeoutMs: options.redisTimeoutMs ?? 30_000,
          log
        })
  if (redis !== undefined) {
    t.teardown(() => redis.close())
    await waitFor(() => redis.connected())
  }
  const metrics = createMetrics({ service: 'gateway', instance: '1', processMetrics: false })
  const identity = await openIdentity(nc, { log })
  await waitFor(() => identity.ready())
  const gateway = await buildGateway({
    config,
    log,
    metrics,
    identity,
    redis,
    nats: nc,
    checks: {},
    traffic: options.traffic,
    ...(options.policies === undefined ? {} : { policies: options.policies })
  })
  let live: Instance[] = []
  const known = new Map<string, Instance>()
  const registry = await watchRegistry(nc, (instances) => {
    const urls = new Set(instances.map(({ url }) => url))
    for (const one of instances) known.set(one.url, one)
    live = [...instances, ...known.values().filter(({ url }) => !urls.has(url) && announcedHere.has(url))]
    gateway.update(live)
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
    live: (service, count) => waitFor(() => live.filter((one) => one.service === service).length === count)
  }
}
