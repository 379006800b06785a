import { contentRoutes } from '@skerry/contracts'
import { eventCollections } from '@skerry/events'
import { declareParticipant, openIdentity, parseConfig, runApp } from '@skerry/service'
import { idempotencyKeys, openStore } from '@skerry/store'
import { buildApp, buildDeps } from './app.ts'
import { ConfigSchema } from './config.ts'
import { contentCollections } from './data/collections.ts'
import { startEvents } from './events.ts'

const config = parseConfig(ConfigSchema, process.env)

await runApp({
  name: 'content',
  config,
  async start({ log, metrics, nats }) {
    const store = await openStore({
      url: config.MONGO_URL,
      database: config.MONGO_DATABASE,
      collections: [...contentCollections, ...eventCollections, idempotencyKeys],
      poolSize: config.MONGO_POOL,
      appName: `content.${config.SKERRY_INSTANCE}`
    })
    const identity = await openIdentity(nats, { log })
    const deps = buildDeps(config, store)
    const events = startEvents(deps, { nc: nats, instance: config.SKERRY_INSTANCE, log, metrics })
    const participant = await declareParticipant(nats, 'content', { log })
    return {
      app: buildApp({ config, store, identity, metrics, logger: log }, deps),
      routes: contentRoutes,
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
