import { usersRoutes } from '@skerry/contracts'
import { eventCollections } from '@skerry/events'
import { declareParticipant, openIdentity, parseConfig, runApp } from '@skerry/service'
import { openStore } from '@skerry/store'
import { buildApp } from './app.ts'
import { ConfigSchema } from './config.ts'
import { usersCollections } from './data/collections.ts'
import { startEvents } from './events.ts'

await runApp({
  name: 'users',
  config: () => parseConfig(ConfigSchema, process.env),
  async start({ config, log, metrics, nats }) {
    const store = await openStore({
      url: config.MONGO_URL,
      database: config.MONGO_DATABASE,
      collections: [...usersCollections, ...eventCollections],
      poolSize: config.MONGO_POOL,
      appName: `users.${config.SKERRY_INSTANCE}`
    })
    const identity = await openIdentity(nats, { log, cacheSize: config.TOKEN_CACHE })
    const events = startEvents(store, { nc: nats, instance: config.SKERRY_INSTANCE, log, metrics })
    const participant = await declareParticipant(nats, 'users', { log })
    return {
      app: buildApp({ config, store, identity, metrics, logger: log }),
      routes: usersRoutes,
      checks: {
        ...events.checks,
        database: () => store.ping(),
        identity() {
          if (!identity.ready()) throw new Error('token verification keys are not loaded yet')
        }
      },
      stop: () => events.stop(),
      async close() {
        await participant.close()
        await identity.close()
        await store.close()
      }
    }
  }
})
