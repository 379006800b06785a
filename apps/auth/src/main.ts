import { openRedis } from '@skerry/cache'
import { authRoutes } from '@skerry/contracts'
import { eventCollections } from '@skerry/events'
import { openIdentity, parseConfig, publishIdentity, runApp } from '@skerry/service'
import { idempotencyKeys, openStore } from '@skerry/store'
import { buildApp } from './app.ts'
import { ConfigSchema } from './config.ts'
import { authCollections } from './data/collections.ts'
import { readSigningKey } from './domain/signing-key.ts'
import { startEvents } from './events.ts'
import { keepIdentity } from './keep-identity.ts'
import { createTellRevoked } from './revocations.ts'

await runApp({
  name: 'auth',
  config: () => {
    const config = parseConfig(ConfigSchema, process.env)
    // Read here, so that a bad key is a bad configuration.
    return { ...config, signingKey: readSigningKey(config.AUTH_SIGNING_KEY, config.AUTH_VERIFY_KEYS) }
  },
  async start({ config, log, metrics, nats }) {
    const { signingKey } = config
    const accessTtlMs = config.ACCESS_TTL_S * 1000
    const store = await openStore({
      url: config.MONGO_URL,
      database: config.MONGO_DATABASE,
      collections: [...authCollections, ...eventCollections, idempotencyKeys],
      poolSize: config.MONGO_POOL,
      appName: `auth.${config.SKERRY_INSTANCE}`
    })
    const { REDIS_URL: url, REDIS_TIMEOUT_MS: commandTimeoutMs } = config
    const redis = url === undefined ? undefined : openRedis({ url, commandTimeoutMs, log })
    const keeper = await keepIdentity({ nc: nats, store, jwks: signingKey.jwks, accessTtlMs, log })
    const identity = await openIdentity(nats, { log, cacheSize: config.TOKEN_CACHE })
    const publisher = publishIdentity(nats)
    const tellRevoked = createTellRevoked({ identity, publisher, accessTtlMs, log })
    const instance = config.SKERRY_INSTANCE
    const events = await startEvents(store, { nc: nats, instance, log, metrics, publisher, accessTtlMs })
    return {
      app: buildApp({ config, store, signingKey, identity, metrics, tellRevoked, redis, logger: log }),
      routes: authRoutes,
      checks: {
        ...events.checks,
        database: () => store.ping(),
        identity() {
          if (!identity.ready()) throw new Error('token verification keys are not loaded yet')
        }
      },
      stop: () => events.stop(),
      async close() {
        await keeper.close()
        await identity.close()
        await redis?.close()
        await store.close()
      }
    }
  }
})
