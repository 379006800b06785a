import { DataConfigSchema, ServiceConfigSchema } from '@skerry/service'
import Type, { type Static } from 'typebox'

const Count = (fallback: number, maximum: number) => Type.Integer({ minimum: 1, maximum, default: fallback })

/** The bounds of feeds; see docs/content.md for what they trade. */
export const FeedConfigSchema = Type.Object({
  /** Followers up to which a post is written into each of their feeds; above, they merge it when they read. */
  FANOUT_MAX: Count(10_000, 1_000_000),
  /** Followers served by one write of the fan-out. */
  FANOUT_CHUNK: Count(500, 5_000),
  /** Newest entries a feed keeps; it is cut back when it has grown a quarter beyond, on average. */
  FEED_KEEP: Count(1_000, 100_000),
  /** Posts of an author that a new follower gets at once. */
  FEED_BACKFILL: Count(100, 1_000),
  /** Posts fanned out at once; with PEOPLE_CONCURRENCY well below MONGO_POOL, so that a backlog leaves connections to requests. */
  FANOUT_CONCURRENCY: Count(12, 256),
  /** Events of profiles and follows applied at once. */
  PEOPLE_CONCURRENCY: Count(8, 256)
})
export type FeedConfig = Static<typeof FeedConfigSchema>

/** What trends are computed of, and how often. */
export const TrendsConfigSchema = Type.Object({
  TRENDS_EVERY_S: Count(60, 86_400),
  /** Older posts don't count. */
  TRENDS_DAYS: Count(3, 30),
  /** A post counts half as much after so many hours. */
  TRENDS_HALF_LIFE_H: Count(12, 720),
  /** The newest posts that are looked at, so that one computation stays small. */
  TRENDS_POSTS_MAX: Count(20_000, 1_000_000)
})
export type TrendsConfig = Static<typeof TrendsConfigSchema>

export const ConfigSchema = Type.Object({
  ...ServiceConfigSchema.properties,
  ...DataConfigSchema.properties,
  ...FeedConfigSchema.properties,
  ...TrendsConfigSchema.properties,
  /** How long names and avatars of authors are served from memory, in milliseconds; 0 asks the database each time. */
  AUTHOR_TTL_MS: Type.Integer({ minimum: 0, maximum: 60_000, default: 1_000 }),
  /** How often an instance that knows of no author above FANOUT_MAX asks for one, in milliseconds. */
  MERGE_CHECK_MS: Type.Integer({ minimum: 0, maximum: 60_000, default: 1_000 }),
  /** How long an instance trusts that somebody follows an author, in milliseconds: only what a race left in a feed shows for longer. */
  FOLLOW_TTL_MS: Type.Integer({ minimum: 0, maximum: 60_000, default: 10_000 }),
  FOLLOW_CACHE: Count(50_000, 1_000_000),
  /** Ids that the fan-out remembers: of authors, and of those who followed them when they last posted. */
  FOLLOWER_CACHE: Count(100_000, 10_000_000),
  AUTHOR_CACHE: Count(20_000, 1_000_000),
  /** Connections to MongoDB at most. */
  MONGO_POOL: Count(50, 1_000)
})
export type Config = Static<typeof ConfigSchema>
