import { conduitRoutes } from '@skerry/contracts'
import { eventCollections } from '@skerry/events'
import { openIdentity, parseConfig, runApp } from '@skerry/service'
import { idempotencyKeys, openStore } from '@skerry/store'
import { buildApp, ConfigSchema } from './app.ts'
import { conduitCollection } from './data/conduit.ts'
import { startEvents } from './events.ts'

await runApp({
  name: 'conduit',
  config: () => parseConfig(ConfigSchema, process.env),
  async start({ config, log, metrics, nats }) {
    const store = await openStore({
      url: config.MONGO_URL,
      database: config.MONGO_DATABASE,
      collections: [conduitCollection, ...eventCollections, idempotencyKeys],
      poolSize: config.MONGO_POOL,
      appName: `conduit.${config.SKERRY_INSTANCE}`
    })
    const identity = await openIdentity(nats, { log, cacheSize: config.TOKEN_CACHE })
    const events = startEvents({ store }, { nc: nats, instance: config.SKERRY_INSTANCE, log, metrics })
    return {
      app: buildApp({ config, store, identity, metrics, logger: log }),
      routes: conduitRoutes,
      checks: {
        ...events.checks,
        database: () => store.ping(),
        identity() {
          if (!identity.ready()) throw new Error('no keys yet')
        }
      },
      stop: () => events.stop(),
      async close() {
        await identity.close()
        await store.close()
      }
    }
  }
})
