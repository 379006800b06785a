import { DataConfigSchema, ServiceConfigSchema } from '@skerry/service'
import Type, { type Static } from 'typebox'

const Count = (fallback: number, maximum: number) => Type.Integer({ minimum: 1, maximum, default: fallback })

/** Everything auth reads from its environment. Durations end in their unit. */
export const ConfigSchema = Type.Object({
  ...ServiceConfigSchema.properties,
  ...DataConfigSchema.properties,
  /** Connections to MongoDB at most. */
  MONGO_POOL: Count(50, 1000),
  /** The Ed25519 private key that signs access tokens, as a JWK in JSON. */
  AUTH_SIGNING_KEY: Type.String({ minLength: 1 }),
  /** Public JWKs (a JSON array) that are published beside it: the next key before it signs, the last one until its tokens have expired. */
  AUTH_VERIFY_KEYS: Type.Optional(Type.String()),
  ACCESS_TTL_S: Count(600, 3600),
  /** A session ends when it was not refreshed for so long. */
  REFRESH_TTL_S: Count(30 * 24 * 3600, 365 * 24 * 3600),
  /** How long after a rotation the token before it still gets the same grant, as often as it comes. */
  REFRESH_GRACE_S: Count(60, 3600),
  /** How recent a sign-in must be to change the account without the current password. */
  RECENT_SIGN_IN_S: Count(600, 3600),
  /** Sessions an account may have; the oldest ends when there is one more. */
  MAX_SESSIONS: Count(100, 1000),
  /** Wrong passwords in any ten minutes: at one account from one address, and in one session for what needs the password. */
  SIGN_IN_FAILURES: Count(10, 100_000),
  /** At one account from all addresses that it is not used from. */
  SIGN_IN_FAILURES_ACCOUNT: Count(100, 100_000),
  /** From one address at all accounts that are not used from there. */
  SIGN_IN_FAILURES_ADDRESS: Count(1_000, 100_000),
  /** How long a sign-in waits for Redis before it counts by itself, in milliseconds. */
  REDIS_TIMEOUT_MS: Count(500, 10_000),
  /** Accounts and addresses whose failures are remembered while Redis is away. */
  SIGN_IN_MEMORY: Count(10_000, 1_000_000),
  /** Password hashes computed at once; by default the cores, but always fewer than there are threads for them. */
  PASSWORD_CONCURRENCY: Type.Optional(Type.Integer({ minimum: 1, maximum: 64 })),
  /** Requests that may wait for one; more are refused with 503. */
  PASSWORD_QUEUE: Count(128, 10_000),
  /** Node's own variable, read to stay below it: the threads also verify tokens and look up names. */
  UV_THREADPOOL_SIZE: Count(4, 1024)
})
export type Config = Static<typeof ConfigSchema>
