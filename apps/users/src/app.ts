import { buildServer, type Identity, type Logger, type Metrics } from '@skerry/service'
import type { Store } from '@skerry/store'
import type { FastifyInstance } from 'fastify'
import type { Config } from './config.ts'
import { createDeps } from './domain/deps.ts'
import { followRoutes } from './routes/follows.ts'
import { profileRoutes } from './routes/profiles.ts'

export type AppDeps = { config: Config; store: Store; identity: Identity; metrics: Metrics; logger?: Logger }

/** The HTTP side of users: all that is registered, in order. */
export function buildApp({ config, store, identity, metrics, logger }: AppDeps): FastifyInstance {
  const app = buildServer({ name: 'users', config, identity, metrics, logger })
  const deps = createDeps(store)
  profileRoutes(app, deps)
  followRoutes(app, deps)
  return app
}
