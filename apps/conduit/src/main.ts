import { CONDUIT_PREFIX, conduitRoutes } from '@skerry/contracts'
import { eventCollections } from '@skerry/events'
import { declareParticipant, parseConfig, runApp } from '@skerry/service'
import { openStore } from '@skerry/store'
import { buildApp } from './app.ts'
import { ConfigSchema } from './config.ts'
import { conduitCollections } from './data/collections.ts'
import { startEvents } from './events.ts'

await runApp({
  name: 'conduit',
  config: () => parseConfig(ConfigSchema, process.env),
  async start({ config, log, metrics, nats }) {
    const store = await openStore({
      url: config.MONGO_URL,
      database: config.MONGO_DATABASE,
      collections: [...conduitCollections, ...eventCollections],
      poolSize: config.MONGO_POOL,
      appName: `conduit.${config.SKERRY_INSTANCE}`
    })
    const events = startEvents(store, { nc: nats, instance: config.SKERRY_INSTANCE, log, metrics })
    const participant = await declareParticipant(nats, 'conduit', { log })
    return {
      app: buildApp({ config, store, metrics, logger: log }),
      routes: conduitRoutes,
      prefixes: [CONDUIT_PREFIX],
      checks: { ...events.checks, database: () => store.ping() },
      stop: () => events.stop(),
      async close() {
        await participant.close()
        await store.close()
      }
    }
  }
})
