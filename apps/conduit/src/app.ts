import { buildServer, type Logger, type Metrics } from '@skerry/service'
import type { Store } from '@skerry/store'
import type { FastifyInstance } from 'fastify'
import { createApi } from './api.ts'
import type { Config } from './config.ts'
import { articleRoutes } from './routes/articles.ts'
import { answerErrors } from './routes/scope.ts'
import { userRoutes } from './routes/users.ts'

export type AppDeps = { config: Config; store: Store; metrics: Metrics; logger?: Logger; now?: () => number }

/** The HTTP side of conduit: all that is registered, in order. */
export function buildApp({ config, store, metrics, logger, now = Date.now }: AppDeps): FastifyInstance {
  const app = buildServer({ name: 'conduit', config, metrics, logger })
  const api = createApi({ url: config.API_URL, from: config.API_FROM, timeoutMs: config.API_TIMEOUT_MS })
  const deps = { store, api, limits: config, now }
  // In a scope of its own, whose errors have RealWorld's shape.
  app.register(async (scope) => {
    answerErrors(scope)
    userRoutes(scope, deps)
    articleRoutes(scope, deps)
  })
  return app
}
