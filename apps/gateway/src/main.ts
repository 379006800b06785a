import { openRedis } from '@skerry/cache'
import { openIdentity, runApp, watchRegistry } from '@skerry/service'
import { buildGateway } from './app.ts'
import { type GatewayConfig, readConfig } from './config.ts'

function configOrExit(): GatewayConfig {
  try {
    return readConfig(process.env)
  } catch (error) {
    process.stderr.write(`gateway: ${(error as Error).message}\n`)
    process.exit(1)
  }
}

await runApp({
  name: 'gateway',
  config: configOrExit(),
  async start({ config, log, metrics, nats }) {
    const identity = await openIdentity(nats, { log, cacheSize: config.TOKEN_CACHE })
    const redis = config.REDIS_URL === undefined ? undefined : openRedis({ url: config.REDIS_URL, log })
    let registryKnown = false
    // Neither NATS nor Redis being away later makes a gateway unready: it goes on with what it knows, and all of them would be gone at once.
    const checks = {
      registry: () => {
        if (!registryKnown) throw new Error('the registry has not been read yet')
      },
      keys: () => {
        if (!identity.ready()) throw new Error('no keys to verify tokens with yet')
      }
    }
    const gateway = await buildGateway({ config, log, metrics, identity, redis, nats, checks })
    const registry = await watchRegistry(
      nats,
      (live) => {
        registryKnown = true
        gateway.update(live)
      },
      { log }
    )
    return {
      app: gateway.app,
      checks,
      async close() {
        await registry.close()
        await gateway.close()
        await identity.close()
        await redis?.close()
      }
    }
  }
})
