import { buildServer, type Identity, type Logger, type Metrics } from '@skerry/service'
import { createIdempotency, createTurns, type Store } from '@skerry/store'
import type { FastifyInstance } from 'fastify'
import type { Config } from './config.ts'
import { hasBigAuthors } from './data/big-authors.ts'
import { createAnyMerged } from './domain/any-merged.ts'
import { createAuthorNames } from './domain/author-names.ts'
import type { Deps } from './domain/deps.ts'
import { createKnownFollowers } from './domain/known-followers.ts'
import { createReads } from './domain/reads.ts'
import { postRoutes } from './routes/posts.ts'
import { reactionRoutes } from './routes/reactions.ts'

export type AppDeps = { config: Config; store: Store; identity: Identity; metrics: Metrics; logger?: Logger }

/** What routes and event handlers of one instance share. */
export function buildDeps(config: Config, store: Store): Deps {
  return {
    store,
    feeds: config,
    trends: config,
    now: Date.now,
    turns: createTurns(),
    reads: createReads(store, { followTtlMs: config.FOLLOW_TTL_MS, max: config.FOLLOW_CACHE }),
    authors: createAuthorNames(store, { ttlMs: config.AUTHOR_TTL_MS, max: config.AUTHOR_CACHE }),
    anyMerged: createAnyMerged(() => hasBigAuthors(store), config.MERGE_CHECK_MS),
    knownFollowers: createKnownFollowers(config.FOLLOWER_CACHE)
  }
}

/** The HTTP side of content: all that is registered, in order. */
export function buildApp({ config, store, identity, metrics, logger }: AppDeps, deps: Deps): FastifyInstance {
  const app = buildServer({ name: 'content', config, identity, idempotency: createIdempotency(store), metrics, logger })
  postRoutes(app, deps)
  reactionRoutes(app, deps)
  return app
}
