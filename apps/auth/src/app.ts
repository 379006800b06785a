import { availableParallelism } from 'node:os'
import type { RedisLink } from '@skerry/cache'
import { buildServer, type Identity, type Logger, type Metrics } from '@skerry/service'
import { createIdempotency, createTurns, type Store } from '@skerry/store'
import type { FastifyInstance } from 'fastify'
import type { Config } from './config.ts'
import { createAttempts } from './data/attempts.ts'
import { keyIdempotency } from './data/keyed-idempotency.ts'
import { createAccessTokens } from './domain/access-token.ts'
import type { Deps, TellRevoked } from './domain/deps.ts'
import { createPasswords } from './domain/passwords.ts'
import type { SigningKey } from './domain/signing-key.ts'
import { accountRoutes } from './routes/accounts.ts'
import { jwksRoute } from './routes/jwks.ts'
import { leavingRoutes } from './routes/leaving.ts'
import { sessionRoutes } from './routes/sessions.ts'

export type AppDeps = {
  config: Config
  store: Store
  signingKey: SigningKey
  identity: Identity
  metrics: Metrics
  tellRevoked: TellRevoked
  redis?: RedisLink | undefined
  logger?: Logger
  /** Epoch milliseconds. */
  now?: () => number
}

/** The HTTP side of auth: all that is registered, in order. */
export function buildApp(options: AppDeps): FastifyInstance {
  const { config, store, signingKey, identity, metrics, logger } = options
  const idempotency = keyIdempotency(createIdempotency(store), signingKey.derive('idempotency'))
  const deps = buildDeps(options)
  const app = buildServer({ name: 'auth', config, identity, idempotency, metrics, logger })
  accountRoutes(app, deps)
  sessionRoutes(app, deps)
  leavingRoutes(app, deps)
  jwksRoute(app, signingKey.jwks)
  return app
}

/** Failures are counted over any ten minutes. */
const WINDOW_MS = 600_000

function buildDeps({ config, store, signingKey, tellRevoked, redis, now = Date.now }: AppDeps): Deps {
  return {
    store,
    passwords: createPasswords({ concurrency: passwordConcurrency(config), queue: config.PASSWORD_QUEUE }),
    accessToken: createAccessTokens(signingKey, config.ACCESS_TTL_S),
    refreshSecret: signingKey.derive('refresh tokens'),
    placeSecret: signingKey.derive('places'),
    attempts: createAttempts({
      redis,
      prefix: config.REDIS_PREFIX ?? 'auth:',
      remembered: config.SIGN_IN_MEMORY,
      now
    }),
    attemptTurns: createTurns({ maxWaiting: config.PASSWORD_QUEUE }),
    tellRevoked,
    limits: {
      accessTtlMs: config.ACCESS_TTL_S * 1000,
      refreshTtlMs: config.REFRESH_TTL_S * 1000,
      refreshGraceMs: config.REFRESH_GRACE_S * 1000,
      recentSignInMs: config.RECENT_SIGN_IN_S * 1000,
      maxSessions: config.MAX_SESSIONS,
      failures: {
        pair: { limit: config.SIGN_IN_FAILURES, windowMs: WINDOW_MS },
        account: { limit: config.SIGN_IN_FAILURES_ACCOUNT, windowMs: WINDOW_MS },
        place: { limit: config.SIGN_IN_FAILURES_ADDRESS, windowMs: WINDOW_MS }
      }
    },
    now
  }
}

/** More hashes at once than cores only wait for each other; one thread of the pool stays free for everything else. */
function passwordConcurrency(config: Config): number {
  const threads = Math.max(1, config.UV_THREADPOOL_SIZE - 1)
  return Math.min(config.PASSWORD_CONCURRENCY ?? availableParallelism(), threads)
}
