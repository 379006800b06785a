import { buildServer, type Identity, type Logger, type Metrics } from '@skerry/service'
import type { Store } from '@skerry/store'
import type { FastifyInstance } from 'fastify'
import type { RealtimeConfig } from './config.ts'
import { keepActive } from './domain/activity.ts'
import type { LiveLog } from './log/live-log.ts'
import { liveRoutes } from './routes/live.ts'
import { createStreams, type Streams } from './streams/streams.ts'

export type AppDeps = {
  config: RealtimeConfig
  store: Store
  live: LiveLog
  identity: Identity
  metrics: Metrics
  logger: Logger
}

/** The HTTP side of realtime: all that is registered, in order. */
export async function buildApp(deps: AppDeps): Promise<{ app: FastifyInstance; streams: Streams }> {
  const { config, store, live, identity, metrics, logger } = deps
  const streams = createStreams({
    live,
    identity,
    metrics,
    log: logger,
    keepActive: (userId) => keepActive({ store, log: live, activeMs: config.ACTIVE_MS }, userId, Date.now()),
    options: {
      maxStreams: config.MAX_STREAMS,
      perUser: config.STREAMS_PER_USER,
      heartbeatMs: config.HEARTBEAT_MS,
      bufferBytes: config.STREAM_BUFFER_BYTES,
      stallMs: config.STALL_MS,
      verifyMs: config.VERIFY_MS
    }
  })
  const app = buildServer({ name: 'realtime', config, identity, metrics, logger })
  await liveRoutes(app, streams)
  // Streams never end by themselves, so they are ended before the server waits for its connections.
  app.addHook('preClose', () => streams.drain(0))
  app.addHook('onClose', async () => streams.close())
  return { app, streams }
}
