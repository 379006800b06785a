import {
  buildServer,
  DataConfigSchema,
  type Identity,
  type Logger,
  type Metrics,
  ServiceConfigSchema
} from '@skerry/service'
import { createIdempotency, type Store } from '@skerry/store'
import type { FastifyInstance } from 'fastify'
import Type, { type Static } from 'typebox'
import { registerArticles } from './routes/conduit.ts'

/** What conduit reads from its environment. */
export const ConfigSchema = Type.Object({
  ...ServiceConfigSchema.properties,
  ...DataConfigSchema.properties,
  /** Connections to MongoDB at most. */
  MONGO_POOL: Type.Integer({ minimum: 1, maximum: 1_000, default: 20 })
})
export type Config = Static<typeof ConfigSchema>

export type AppDeps = { config: Config; store: Store; identity: Identity; metrics: Metrics; logger?: Logger }

/** The HTTP side of conduit: all that is registered, in order. */
export function buildApp({ config, store, identity, metrics, logger }: AppDeps): FastifyInstance {
  const app = buildServer({ name: 'conduit', config, identity, idempotency: createIdempotency(store), metrics, logger })
  const deps = { store }
  registerArticles(app, deps)
  return app
}
