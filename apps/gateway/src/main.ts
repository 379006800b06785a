import {
  type Checks,
  type Identity,
  openIdentity,
  openIdentityFromUrl,
  type Running,
  runApp,
  type StartAloneContext,
  type StartContext,
  StartFault,
  watchRegistry,
  watchTraffic
} from '@skerry/service'
import { checkAlone } from './alone/check.ts'
import { keysOf } from './alone/keys.ts'
import { textsOf } from './alone/texts.ts'
import { checkSettings } from './check-settings.ts'
import { type GatewayConfig, isAlone, type RegistryConfig, readAloneConfig, readConfig } from './config.ts'
import { returnMemory } from './return-memory.ts'
import { startBeating } from './workers/watch.ts'
import { BEAT_MS, leavePortWithPrimary, listenFd, SPARE, waitAsSpare } from './workers/worker.ts'

/** What SIGHUP does: nothing where there is nothing to read again. */
let reload = (): unknown => undefined
process.on('SIGHUP', () => reload())
const fd = listenFd(process.env)

async function main(): Promise<void> {
  const beatMs = Number(process.env[BEAT_MS] ?? 0)
  if (beatMs > 0) startBeating(process, beatMs)
  if (process.env[SPARE] !== undefined) {
    await load()
    await waitAsSpare(process)
  }
  const alone = isAlone(process.env)
  const config = alone ? readAloneConfig(process.env) : readConfig(process.env)
  await checkSettings(config)
  if (alone) await checkAlone(config)
  if (fd === undefined && (config.WORKERS > 1 || config.ROLLING || config.SPARE)) {
    const { runPrimary } = await import('./workers/primary.ts')
    reload = (await runPrimary(config, import.meta.filename, process.env)).rotate
  } else if (alone) await runApp({ name: 'gateway', nats: 'none', uncaught: 'go on', config, start: startAlone })
  else await runApp({ name: 'gateway', uncaught: 'go on', config: config as RegistryConfig, start: startWithRegistry })
}

/** What serves, which is most of the program: a primary does without, and a spare has it before it is needed. */
async function load() {
  const [app, fixedList, traffic, cache] = await Promise.all([
    import('./app.ts'),
    import('./alone/fixed-list.ts'),
    import('./traffic/traffic.ts'),
    import('@skerry/cache')
  ])
  return { ...app, ...fixedList, ...traffic, ...cache }
}

/** In front of the services that announce themselves. */
async function startWithRegistry({ config, log, metrics, nats }: StartContext<RegistryConfig>): Promise<Running> {
  const { buildGateway, createTraffic, openRedis } = await load()
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
async function startAlone({ config, log, metrics }: StartAloneContext<GatewayConfig>): Promise<Running> {
  const { buildGateway, openFixedList, openRedis } = await load()
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
  if (fd === undefined) reload = list.reload
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

try {
  await main()
} catch (error) {
  process.stderr.write(`${error instanceof StartFault ? 'cannot start' : 'gateway'}: ${(error as Error).message}\n`)
  process.exit(1)
}
