import { openRedis } from '@skerry/cache'
import {
  type Checks,
  type Identity,
  openIdentity,
  openIdentityFromUrl,
  type Running,
  runApp,
  type StartAloneContext,
  type StartContext,
  watchRegistry,
  watchTraffic
} from '@skerry/service'
import { openFixedList } from './alone/fixed-list.ts'
import { keysOf } from './alone/keys.ts'
import { textsOf } from './alone/texts.ts'
import { buildGateway } from './app.ts'
import type { GatewayConfig, RegistryConfig } from './config.ts'
import { returnMemory } from './return-memory.ts'
import { createTraffic } from './traffic/traffic.ts'
import { leavePortWithPrimary } from './workers/worker.ts'

export type ServeOptions = {
  /** The listening socket that a primary gave to this worker. */
  fd: number | undefined
  /** Told what reads the list of services again, where there is one. */
  onReload(reload: () => unknown): void
}

/** Serves until it is told to end: a gateway by itself, or a worker. */
export async function serve(
  config: GatewayConfig | RegistryConfig,
  alone: boolean,
  options: ServeOptions
): Promise<void> {
  const app = { name: 'gateway', uncaught: 'go on' } as const
  if (alone) await runApp({ ...app, nats: 'none', config, start: (context) => startAlone(context, options) })
  else
    await runApp({
      ...app,
      config: config as RegistryConfig,
      start: (context) => startWithRegistry(context, options.fd)
    })
}

/** In front of the services that announce themselves. */
async function startWithRegistry(
  { config, log, metrics, nats }: StartContext<RegistryConfig>,
  fd: number | undefined
): Promise<Running> {
  const identity = await openIdentity(nats, { log, cacheSize: config.TOKEN_CACHE })
  const redis = config.REDIS_URL === undefined ? undefined : openRedis({ url: config.REDIS_URL, log })
  const traffic = createTraffic(metrics)
  let registryKnown = false
  // Neither NATS nor Redis being away later makes a gateway unready: it goes on with what it knows, and all of them would be gone at once.
  const checks = {
    registry: () => {
      if (!registryKnown) throw new Error('the registry has not been read yet')
    },
    keys: keysKnown(identity)
  }
  const gateway = await buildGateway({ config, log, metrics, identity, redis, nats, checks, traffic, listenFd: fd })
  if (fd !== undefined) leavePortWithPrimary(process, gateway.app.server)
  const rules = await watchTraffic(
    nats,
    (service, rules) => {
      traffic.set(service, rules)
      log.info({ upstream: service, rules }, rules === undefined ? 'traffic rules removed' : 'traffic rules changed')
    },
    { log }
  )
  const registry = await watchRegistry(
    nats,
    (live) => {
      registryKnown = true
      gateway.update(live)
    },
    { log }
  )
  const memory = returnMemory()
  return {
    app: gateway.app,
    checks,
    async close() {
      memory.stop()
      await registry.close()
      await rules.close()
      await gateway.close()
      await identity.close()
      await redis?.close()
    }
  }
}

/** In front of a fixed list. Without JWKS_URL nobody is known, and tokens are passed on as they come. */
async function startAlone(
  { config, log, metrics }: StartAloneContext<GatewayConfig>,
  { fd, onReload }: ServeOptions
): Promise<Running> {
  const read = textsOf(config)
  const redis = config.REDIS_URL === undefined ? undefined : openRedis({ url: config.REDIS_URL, log })
  const keys = keysOf(config)
  const identity = keys === undefined ? undefined : await openIdentityFromUrl({ ...keys, log })
  const checks: Checks = identity === undefined ? {} : { keys: keysKnown(identity, `from ${config.JWKS_URL} `) }
  const gateway = await buildGateway({
    config,
    log,
    metrics,
    identity,
    redis,
    nats: undefined,
    checks,
    contracts: [],
    listenFd: fd
  })
  if (fd !== undefined) leavePortWithPrimary(process, gateway.app.server)
  const list = await openFixedList({
    read,
    onChange: gateway.update,
    log,
    refreshMs: config.DNS_REFRESH_MS,
    anonymous: identity === undefined
  })
  // Workers are replaced instead.
  if (fd === undefined) onReload(list.reload)
  const memory = returnMemory()
  return {
    app: gateway.app,
    checks,
    async close() {
      memory.stop()
      await list.close()
      await gateway.close()
      await identity?.close()
      await redis?.close()
    }
  }
}

function keysKnown(identity: Identity, where = ''): () => void {
  return () => {
    if (!identity.ready()) throw new Error(`no keys ${where}to verify tokens with yet`)
  }
}
