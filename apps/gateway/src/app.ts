import { readFileSync } from 'node:fs'
import type { RequestListener } from 'node:http'
import type { RedisLink } from '@skerry/cache'
import { authRoutes, contentRoutes, type RouteContract, realtimeRoutes, rulesOf, usersRoutes } from '@skerry/contracts'
import {
  buildServer,
  type Checks,
  createFaultLog,
  type Identity,
  type Instance,
  type Logger,
  type Metrics,
  type NatsConnection,
  prefixesOf
} from '@skerry/service'
import type { FastifyInstance } from 'fastify'
import { type Bound, createBounds } from './bounds.ts'
import { createCompressor } from './bytes/compressor.ts'
import { createPurger } from './cache/purger.ts'
import { createResponseCache } from './cache/response-cache.ts'
import type { GatewayConfig } from './config.ts'
import { documentRoutes } from './documents/document-routes.ts'
import { eventRoutes } from './documents/event-routes.ts'
import { createSender } from './documents/send-document.ts'
import { clientAddress, limitedAddress, parseNetworks } from './door/address.ts'
import { corsHeadersFor, originAllowedBy, registerCors } from './door/cors.ts'
import { createDoor } from './door/door.ts'
import { ownDoor } from './door/own-door.ts'
import { visitOf } from './door/visit.ts'
import { createHeads } from './head/heads.ts'
import { speakInReplies } from './head/in-replies.ts'
import { limitPoliciesOf } from './limits/limit-policies.ts'
import { createLimiter } from './limits/limiter.ts'
import { createBodyBudget } from './listen/body-budget.ts'
import type { OnAnswered } from './listen/guard.ts'
import { createListener } from './listen/listener.ts'
import { createParserRefusal } from './listen/parser-refusal.ts'
import { createGatewayMetrics, type GatewayMetrics } from './metrics.ts'
import { createOverload } from './overload/overload.ts'
import { hooksOf } from './policies/hooks.ts'
import { POLICIES } from './policies/list.ts'
import type { Policy } from './policies/policy.ts'
import { createEntry } from './proxy/entry.ts'
import { recordAnswer } from './proxy/record.ts'
import { createSpool } from './proxy/spool.ts'
import { createPlaces } from './proxy/streamed-places.ts'
import { createOpenStreams } from './proxy/streams.ts'
import { batchRoute } from './routes/batch.ts'
import { healthRoutes } from './routes/health.ts'
import { isOwn } from './routes/own.ts'
import { createRoutes } from './routing/routes.ts'
import type { Traffic } from './traffic/traffic.ts'
import { Balancer, type BalancerOptions } from './upstreams/balancer.ts'
import { startHealthChecks } from './upstreams/health-check.ts'
import { createUpgrade, isWebSocket, type Upgrade } from './websocket/upgrade.ts'

/** Where the body of a request was refused. */
const OF_BODIES: ReadonlySet<Bound> = new Set(['BODIES_BYTES', 'BODY_PIECES', 'BODY_PIECES_TURN'])

export type GatewayDeps = {
  config: GatewayConfig
  log: Logger
  metrics: Metrics
  /** Without it tokens are passed on unread, and nobody is a user. */
  identity: Identity | undefined
  /** Without it each gateway limits by itself. */
  redis: RedisLink | undefined
  /** Where events that end kept answers come from; without it they live out their time. */
  nats: NatsConnection | undefined
  /** What `/readyz` asks. */
  checks: Checks
  /** Which version of a service a request goes to; without it any. */
  traffic?: Traffic | undefined
  /** The listening socket that a primary holds for its workers. */
  listenFd?: number | undefined
  /** Routes that are known before anybody announces them: the house's own unless given. */
  contracts?: readonly RouteContract[]
  /** What a team wants beyond that: those of `policies/list.ts` unless given. */
  policies?: readonly Policy[]
}

export type Gateway = {
  app: FastifyInstance
  /** Takes in which instances are live. */
  update(live: readonly Instance[]): void
  /** Closes the connections to services. */
  close(): Promise<void>
}

/** What the gateway knows of the house's own services; those of others need no entry here. */
const CONTRACTS: readonly RouteContract[] = [authRoutes, usersRoutes, contentRoutes, realtimeRoutes].flatMap((routes) =>
  Object.values(routes)
)
/** Which bound an answer met that waited for its client. */
const SPOOL_BOUNDS = {
  memory: 'SPOOL_BYTES',
  caller: 'SPOOL_HELD',
  service: 'SPOOL_HELD',
  pace: 'SPOOL_PACE_BYTES'
} as const
/** How long live streams have to end when the gateway leaves. */
const STREAMS_GRACE_MS = 1_000

/**
 * Builds the gateway: each part after those that it needs. In which order a request meets them is in docs/gateway.md ("The way of a request"). It does not
 * listen yet.
 */
export async function buildGateway(deps: GatewayDeps): Promise<Gateway> {
  const { config, log, metrics, identity, contracts = CONTRACTS, policies = POLICIES } = deps
  const ca = config.UPSTREAM_CA_FILE === undefined ? undefined : readFileSync(config.UPSTREAM_CA_FILE, 'utf8')
  const streams = createOpenStreams()
  let live: readonly Instance[] = []
  const routes = createRoutes({
    expected: prefixesOf(contracts),
    // What must hold even for an instance that announces no rules; the others' services check again.
    known: rulesOf(contracts).filter(
      (rule) => rule.auth === 'none' || rule.limit !== undefined || rule.stream === true || rule.body === 'stream'
    ),
    timeoutMs: config.UPSTREAM_HEADERS_TIMEOUT_MS,
    unnamed: config.DEFAULT_AUTH,
    onConflict(prefix, holder, claimant) {
      log.warn({ prefix, holder, claimant }, 'route prefix conflict: the prefix stays with the service that holds it')
    },
    onBadRule(service, { method, path }, reason) {
      log.warn({ service, method, path, reason }, 'invalid route rule ignored')
    }
  })
  const balancer: Balancer = new Balancer(balancerOptions(config, ca), {
    ejected(upstream, reason, pauseMs) {
      counts.ejected(upstream.service, reason)
      log.warn({ upstream: upstream.id, url: upstream.url, reason, pauseMs }, 'upstream ejected')
    },
    back(upstream, awayMs) {
      log.info({ upstream: upstream.id, url: upstream.url, awayMs: Math.round(awayMs) }, 'upstream recovered')
    },
    retried: (service) => counts.retried(service),
    hedged: (service) => counts.hedged(service),
    hedgeLost: (service) => counts.hedgeLost(service),
    moved(upstream, count) {
      counts.moved(upstream.service, count)
      log.info({ upstream: upstream.id, streams: count }, 'streams of a silent upstream ended')
    },
    faulted: (error) => onFault('answer', error)
  })
  const counts: GatewayMetrics = createGatewayMetrics(metrics, balancer, streams)
  const health = startHealthChecks(balancer, {
    everyMs: config.HEALTH_INTERVAL_MS,
    longestMs: Math.max(config.HEALTH_INTERVAL_MS, config.EJECT_LONGEST_MS / 2),
    timeoutMs: config.HEALTH_TIMEOUT_MS,
    path: config.HEALTH_PATH,
    ca
  })

  const trusted = parseNetworks(config.TRUSTED_PROXIES, 'TRUSTED_PROXIES')
  const exempt = parseNetworks(config.LIMIT_EXEMPT, 'LIMIT_EXEMPT')
  const onFault = createFaultLog(log, metrics)
  const onBound = createBounds(log, metrics)
  const draining = () => app.skerry.draining
  const onAnswered: OnAnswered = (visit, status) => recordAnswer({ metrics: counts, log }, visit, status)
  const { onRequest, onHead } = hooksOf(policies, { log, onFault, onRefused: (policy) => counts.refusedBy(policy) })
  const heads = createHeads({ corsHeaders: corsHeadersFor(config.CORS_ORIGINS), draining, onHead })

  // The listener is made before what answers its requests, which comes below: `entry` (proxy/entry.ts) decides who does.
  let entry: RequestListener = () => undefined
  let fastify: RequestListener = () => undefined
  let upgrade: Upgrade = (_request, socket) => socket.destroy()
  const listener = await createListener({
    config,
    handler: (request, response) => entry(request, response),
    // Fastify needs Node's own.
    takesPlain: (target) => !isOwn(target),
    upgrade: (request, socket, head) => upgrade(request, socket, head),
    listenFd: deps.listenFd,
    heads,
    onAnswered,
    clientError: createParserRefusal(heads, onBound),
    draining,
    log,
    onFault,
    countsAddress: (address) => !trusted.has(address) && !exempt.has(address),
    addressOf(request) {
      const address = clientAddress(request, trusted)
      return exempt.has(address) ? undefined : limitedAddress(address)
    },
    onBound(bound, address) {
      onBound(bound, address)
      if (OF_BODIES.has(bound)) counts.bodyRefused()
      else if (bound === 'UNREAD_PERIOD_BYTES' || bound === 'UNREAD_BYTES') counts.unread()
    },
    onEnded: (reason) => counts.http2Ended(reason)
  })
  const overload = createOverload(config, { onShed: (reason, priority) => counts.shed(reason, priority) })
  counts.watchOverload(overload)
  const door = createDoor({
    overload,
    identity,
    limiter: createLimiter({
      redis: deps.redis,
      prefix: config.REDIS_PREFIX ?? 'gateway:',
      maxSubjects: config.LIMIT_SUBJECTS
    }),
    limitPolicies: limitPoliciesOf(config),
    routes,
    trusted,
    exempt,
    urlLimit: config.URL_LIMIT,
    onRequest,
    onLimited: (policy) => counts.limited(policy.name),
    onFault
  })
  const app: FastifyInstance = buildServer({
    name: 'gateway',
    config,
    metrics,
    logger: log,
    identity,
    admit: ownDoor(door),
    serverFactory(handler) {
      fastify = handler as RequestListener
      return listener.server
    }
  })
  listener.takeClientErrors()
  app.setGenReqId((raw) => visitOf(raw).id)
  app.decorateRequest('visit', undefined)
  speakInReplies(app, heads)
  registerCors(app, config.CORS_ORIGINS)
  app.addHook('preClose', () => streams.close(STREAMS_GRACE_MS))

  const cache = createResponseCache({
    redis: deps.redis,
    prefix: `${config.REDIS_PREFIX ?? 'gateway:'}cache:`,
    maxEntries: config.CACHE_ENTRIES,
    maxBytes: config.CACHE_BYTES,
    entryBytes: config.CACHE_ENTRY_BYTES,
    lockMs: config.CACHE_LOCK_MS,
    log
  })
  const purger = deps.nats === undefined ? undefined : createPurger({ nc: deps.nats, cache, log })
  const compressor = createCompressor({ concurrency: config.COMPRESS_CONCURRENCY, streams: config.COMPRESS_STREAMS })
  const send = createSender(compressor, config.COMPRESS_MIN_BYTES)
  healthRoutes(app, deps.checks)
  await app.register(async (scope) => {
    documentRoutes(scope, { live: () => live, holderOf: routes.holder, log, config, send })
    eventRoutes(scope, { live: () => live, log, config, send })
    batchRoute(scope, {
      entry: (request, response) => entry(request, response),
      heads,
      onAnswered,
      isStream(method, path) {
        const route = routes.find(method, path)?.route
        return route?.stream === true || route?.streamed !== undefined
      },
      urlLimit: config.URL_LIMIT,
      timeoutMs: config.BATCH_TIMEOUT_MS,
      bodyMs: config.REQUEST_TIMEOUT_MS,
      answerLimit: config.BATCH_ANSWER_LIMIT,
      room: createBodyBudget({ total: config.BATCHES_BYTES, perAddress: config.BATCHES_ADDRESS_BYTES }),
      shareOf: (address) => (exempt.has(address) ? undefined : limitedAddress(address)),
      onBound
    })
  })

  const spool = createSpool(
    {
      answerBytes: config.SPOOL_ANSWER_BYTES,
      callerBytes: config.SPOOL_CALLER_BYTES,
      totalBytes: config.SPOOL_BYTES,
      // Half of what a service with one instance has.
      held: config.SPOOL_HELD ?? Math.floor(config.UPSTREAM_CONNECTIONS / 2),
      paceBytes: config.SPOOL_PACE_BYTES,
      paceAfterMs: config.SPOOL_PACE_AFTER_MS
    },
    {
      onCut(reason) {
        counts.tooSlow(reason)
        onBound(SPOOL_BOUNDS[reason])
      }
    }
  )
  counts.watchSpool(spool)
  const places = createPlaces(config.STREAMED_BODIES, config.STREAMED_BODIES_CALLER)
  counts.watchStreamed(places)
  entry = createEntry(
    {
      spool,
      door,
      balancer,
      identity,
      metrics: counts,
      streams,
      cache,
      overload,
      traffic: deps.traffic,
      compressor,
      compressMinBytes: config.COMPRESS_MIN_BYTES,
      compressWholeBytes: config.COMPRESS_WHOLE_BYTES,
      cacheEntryBytes: config.CACHE_ENTRY_BYTES,
      onFault,
      log,
      heads,
      urlLimit: config.URL_LIMIT,
      turns: {
        waiting: config.PIPELINED_REQUESTS,
        inAll: config.PIPELINED_TOTAL,
        onTooMany: (address) => onBound('PIPELINED_TOTAL', address)
      },
      bodyLimit: config.BODY_LIMIT,
      onBound,
      silenceMs: config.UPSTREAM_IDLE_TIMEOUT_MS,
      streamSilenceMs: config.STREAM_IDLE_TIMEOUT_MS,
      streamed: {
        places,
        countsAddress: (address) => !exempt.has(address),
        periodMs: config.UNREAD_PERIOD_MS,
        periodBytes: config.UNREAD_PERIOD_BYTES,
        onBound
      }
    },
    (request, response) => fastify(request, response)
  )
  upgrade = createUpgrade({
    door,
    balancer,
    metrics: counts,
    streams,
    traffic: deps.traffic,
    originAllowed: originAllowedBy(config.CORS_ORIGINS),
    onFault,
    log,
    heads,
    bodyLimit: config.BODY_LIMIT,
    messageLimit: config.WS_MESSAGE_LIMIT,
    earlyBytes: config.WS_EARLY_BYTES,
    onBound,
    streamSilenceMs: config.STREAM_IDLE_TIMEOUT_MS,
    ca,
    draining
  })
  Object.assign(listener.server, { shouldUpgradeCallback: isWebSocket })
  return {
    app,
    update(instances) {
      live = instances
      // By a clock that nobody sets: prefixes are held for a time.
      routes.update(live, performance.now())
      balancer.update(live)
      overload.retain(new Set(live.map(({ service }) => service)))
      purger?.update(routes.announced())
    },
    async close() {
      health.close()
      overload.close()
      spool.close()
      purger?.close()
      await cache.close()
      await balancer.destroy()
    }
  }
}

function balancerOptions(config: GatewayConfig, ca: string | undefined): BalancerOptions {
  return {
    connections: config.UPSTREAM_CONNECTIONS,
    maxInFlight: config.UPSTREAM_IN_FLIGHT,
    maxStreams: config.UPSTREAM_STREAMS,
    connectTimeoutMs: config.UPSTREAM_CONNECT_TIMEOUT_MS,
    ejectMs: config.EJECT_MS,
    ejectLongestMs: config.EJECT_LONGEST_MS,
    consecutive: config.EJECT_FAILURES,
    maxShare: config.EJECT_MAX_SHARE,
    slowTimes: config.EJECT_SLOW_TIMES,
    slowByMs: config.EJECT_SLOW_BY_MS,
    slowStartMs: config.SLOW_START_MS,
    zone: config.ZONE,
    ca,
    retries: config.UPSTREAM_RETRIES,
    budgetShare: config.RETRY_BUDGET_SHARE,
    budgetBurst: config.RETRY_BUDGET_BURST,
    hedgeMinMs: config.HEDGE_MIN_MS,
    hedgeColdMs: config.HEDGE_COLD_MS,
    streamMoveMs: config.STREAM_MOVE_MS,
    mirrorInFlight: config.MIRROR_IN_FLIGHT
  }
}
