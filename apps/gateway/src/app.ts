import type { RedisLink } from '@skerry/cache'
import {
  authRoutes,
  contentRoutes,
  type RouteContract,
  type RouteRules,
  realtimeRoutes,
  usersRoutes
} from '@skerry/contracts'
import { buildServer, type Checks, type Identity, type Logger, type Metrics, prefixesOf } from '@skerry/service'
import type { FastifyInstance } from 'fastify'
import type { GatewayConfig } from './config.ts'
import { parseNetworks } from './door/address.ts'
import { registerCors } from './door/cors.ts'
import { createDoor } from './door/door.ts'
import { refuse } from './door/refuse-connection.ts'
import { publicRequestId } from './door/request-id.ts'
import { createLimiter } from './limits/limiter.ts'
import { indexRules, policiesOf } from './limits/policies.ts'
import { createGatewayMetrics, type GatewayMetrics } from './metrics.ts'
import { limitHeaders } from './proxy/headers.ts'
import { createOpenStreams } from './proxy/streams.ts'
import { healthRoutes } from './routes/health.ts'
import { proxyRoutes } from './routes/proxy.ts'
import { findSecurityHeaders } from './security-headers.ts'
import type { Traffic } from './traffic/traffic.ts'
import { Balancer } from './upstreams/balancer.ts'
import { createRouteTable } from './upstreams/route-table.ts'
import type { Instance } from './upstreams/upstream.ts'

export type GatewayDeps = {
  config: GatewayConfig
  log: Logger
  metrics: Metrics
  /** Without it tokens are passed on unread, and nobody is a user. */
  identity: Identity | undefined
  /** Without it each gateway limits by itself. */
  redis: RedisLink | undefined
  /** What `/readyz` asks. */
  checks: Checks
  /** Which version of a service a request goes to; without it any. */
  traffic?: Traffic | undefined
  /** Routes that are known before anybody announces them: the house's own unless given. */
  contracts?: readonly RouteContract[]
}

export type Gateway = {
  app: FastifyInstance
  /** Takes in which instances are live. */
  update(live: readonly (Instance & { prefixes: readonly string[]; routes?: readonly RouteRules[] })[]): void
  /** Closes the connections to services. */
  close(): Promise<void>
}

/** What the gateway knows of the house's own services; those of others need no entry here. */
const CONTRACTS: readonly RouteContract[] = [authRoutes, usersRoutes, contentRoutes, realtimeRoutes].flatMap((routes) =>
  Object.values(routes)
)
/** How long live streams have to end when the gateway leaves. */
const STREAMS_GRACE_MS = 1_000

/** Builds the gateway: what is registered, in the order a request meets it. It does not listen yet. */
export async function buildGateway(deps: GatewayDeps): Promise<Gateway> {
  const { config, log, metrics, identity, contracts = CONTRACTS } = deps
  const known = indexRules(contracts)
  let announced = indexRules([], true)
  const streams = createOpenStreams()
  const table = createRouteTable(prefixesOf(contracts), (prefix, holder, claimant) => {
    log.warn({ prefix, holder, claimant }, 'a service claims a prefix that another holds: it stays with the holder')
  })
  const balancer: Balancer = new Balancer(upstreamOptions(config), {
    ejected: (upstream, error, pauseMs) => {
      counts.ejected(upstream.id)
      log.warn(
        { upstream: upstream.id, url: upstream.url, reason: error.message, pauseMs },
        'an instance is passed over'
      )
    },
    retried: (upstream) => counts.retried(upstream.id)
  })
  const counts: GatewayMetrics = createGatewayMetrics(metrics, balancer, streams)
  const securityHeaders = await findSecurityHeaders()

  const app = buildServer({ name: 'gateway', config, metrics, logger: log, identity })
  boundConnections(app, config)
  app.setGenReqId((raw) => publicRequestId(raw.headers['x-request-id']))
  app.decorateRequest('admission', undefined)
  app.decorateRequest('verdict', undefined)
  // Answers of services are written by their exchange; this is for the gateway's own.
  app.addHook('onSend', (request, reply, _payload, done) => {
    const own: Record<string, string> = {}
    corsHeaders(request.headers.origin, own)
    if (request.verdict !== undefined) limitHeaders(request.verdict, own)
    for (const [name, value] of securityHeaders) reply.header(name, value)
    reply.headers(own)
    done()
  })
  const corsHeaders = registerCors(app, config.CORS_ORIGINS)
  app.addHook('preClose', () => streams.close(STREAMS_GRACE_MS))

  healthRoutes(app, deps.checks)
  await app.register(async (door) => {
    door.addHook(
      'onRequest',
      createDoor({
        identity,
        limiter: createLimiter({
          redis: deps.redis,
          prefix: config.REDIS_PREFIX ?? 'gateway:',
          maxSubjects: config.LIMIT_SUBJECTS
        }),
        policies: policiesOf(config),
        rulesOf: (method, path) => announced(method, path) ?? known(method, path),
        table,
        trusted: parseNetworks(config.TRUSTED_PROXIES, 'TRUSTED_PROXIES'),
        exempt: parseNetworks(config.LIMIT_EXEMPT, 'LIMIT_EXEMPT'),
        urlLimit: config.URL_LIMIT,
        onLimited: (policy) => counts.limited(policy.name)
      })
    )
    proxyRoutes(door, {
      config,
      balancer,
      dispatcher: balancer,
      identity,
      metrics: counts,
      streams,
      securityHeaders,
      corsHeaders,
      draining: () => app.skerry.draining
    })
  })

  return {
    app,
    update(live) {
      table.update(live, Date.now())
      balancer.update(live)
      // The instances of a service announce the same.
      const services = new Map(live.map(({ service, routes = [] }) => [service, routes]))
      announced = indexRules([...services.values()].flat(), true)
    },
    close: () => balancer.destroy()
  }
}

function upstreamOptions(config: GatewayConfig) {
  return {
    connections: config.UPSTREAM_CONNECTIONS,
    maxInFlight: config.UPSTREAM_IN_FLIGHT,
    maxStreams: config.UPSTREAM_STREAMS,
    connectTimeoutMs: config.UPSTREAM_CONNECT_TIMEOUT_MS,
    headersTimeoutMs: config.UPSTREAM_HEADERS_TIMEOUT_MS,
    idleTimeoutMs: config.UPSTREAM_IDLE_TIMEOUT_MS,
    streamIdleTimeoutMs: config.STREAM_IDLE_TIMEOUT_MS,
    ejectMs: config.EJECT_MS,
    ejectLongestMs: config.EJECT_LONGEST_MS,
    retries: config.UPSTREAM_RETRIES
  }
}

/** Bounds of the public port that Fastify has no option for. */
function boundConnections(app: FastifyInstance, config: GatewayConfig): void {
  const { server } = app
  server.headersTimeout = config.HEADERS_TIMEOUT_MS
  server.keepAliveTimeout = config.KEEP_ALIVE_TIMEOUT_MS
  server.maxConnections = config.MAX_CONNECTIONS
  server.removeAllListeners('clientError')
  server.on('clientError', refuse)
}
