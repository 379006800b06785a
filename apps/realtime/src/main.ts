import { realtimeRoutes } from '@skerry/contracts'
import { eventCollections, eventMetrics } from '@skerry/events'
import { declareParticipant, openIdentity, parseConfig, runApp } from '@skerry/service'
import { openStore } from '@skerry/store'
import { buildApp } from './app.ts'
import { RealtimeConfigSchema } from './config.ts'
import { realtimeCollections } from './data/collections.ts'
import { startEvents } from './events.ts'
import { openLiveLog } from './log/live-log.ts'

const config = parseConfig(RealtimeConfigSchema, process.env)

await runApp({
  name: 'realtime',
  config,
  async start({ log, metrics, nats }) {
    const store = await openStore({
      url: config.MONGO_URL,
      database: config.MONGO_DATABASE,
      collections: [...realtimeCollections, ...eventCollections],
      appName: `realtime.${config.SKERRY_INSTANCE}`
    })
    const limits = { messages: config.LOG_MESSAGES, ageMs: config.LOG_AGE_MS, bytes: config.LOG_MAX_BYTES }
    const live = await openLiveLog(nats, limits, log)
    // Every stream's token is looked at each second: all of them have to fit.
    const identity = await openIdentity(nats, { log, cacheSize: Math.max(config.TOKEN_CACHE, config.MAX_STREAMS) })
    const delivered = metrics.counter('skerry_live_appended_total', 'Messages appended to the logs of users.')
    const { app, streams } = await buildApp({ config, store, live, identity, metrics, logger: log })
    const events = startEvents({
      store,
      nc: nats,
      instance: config.SKERRY_INSTANCE,
      fanOut: { store, log: live, messageBytes: config.MESSAGE_BYTES, delivered: (count) => delivered.inc(count) },
      part: { store, log: live },
      log,
      metrics: eventMetrics(metrics)
    })
    const participant = await declareParticipant(nats, 'realtime', { log })
    return {
      app,
      routes: realtimeRoutes,
      checks: {
        database: () => store.ping(),
        events() {
          if (!events.attached()) throw new Error('consumers or the relay are not attached')
        },
        identity() {
          if (!identity.ready()) throw new Error('token verification keys are not loaded yet')
        },
        log() {
          if (!live.available()) throw new Error('no connection to NATS')
        }
      },
      async stop() {
        const stopped = events.stop()
        live.close()
        await Promise.all([stopped, streams.drain(config.DRAIN_SPREAD_MS)])
      },
      async close() {
        await participant.close()
        await identity.close()
        await store.close()
      }
    }
  }
})
