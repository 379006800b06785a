import { DataConfigSchema, ServiceConfigSchema } from '@skerry/service'
import Type, { type Static } from 'typebox'

const Count = (fallback: number, maximum: number) => Type.Integer({ minimum: 1, maximum, default: fallback })

/** Everything conduit reads from its environment, with the name of each bound. */
export const ConfigSchema = Type.Object({
  ...ServiceConfigSchema.properties,
  ...DataConfigSchema.properties,
  /** Connections to MongoDB at most. */
  MONGO_POOL: Count(20, 1000),
  /** The gateway, through which the public API is called. */
  API_URL: Type.String({ pattern: '^https?://' }),
  /** The local address that it is called from: the one whose `X-Forwarded-For` the gateway trusts. */
  API_FROM: Type.Optional(Type.String({ maxLength: 45, pattern: '^[0-9a-fA-F.:]+$' })),
  /** One call of the API, in milliseconds. */
  API_TIMEOUT_MS: Count(8_000, 60_000),
  /** How long a token holds, in seconds. RealWorld front ends never renew it. */
  TOKEN_TTL_S: Count(30 * 24 * 3600, 365 * 24 * 3600),
  /** Articles of a page, how many may be passed over, and how many are counted. */
  PAGE_MAX: Count(100, 1_000),
  OFFSET_MAX: Count(10_000, 1_000_000),
  COUNT_MAX: Count(10_000, 1_000_000),
  /** Authors whose articles make a feed, and favourites that a list is filtered by: the newest. */
  FEED_AUTHORS: Count(1_000, 10_000),
  FAVORITES_LISTED: Count(5_000, 50_000),
  /** The tags of so many newest articles are counted, and so many listed. */
  TAGS_FROM: Count(1_000, 100_000),
  TAGS_LISTED: Count(50, 1_000),
  /** The newest comments of an article. */
  COMMENTS_LISTED: Count(500, 10_000)
})
export type Config = Static<typeof ConfigSchema>
