import { DataConfigSchema, ServiceConfigSchema } from '@skerry/service'
import Type, { type Static } from 'typebox'

const Milliseconds = (fallback: number) => Type.Integer({ minimum: 10, maximum: 7 * 24 * 3600_000, default: fallback })
const HOUR_MS = 3600_000

/** What realtime reads from its environment. Durations are in milliseconds, sizes in bytes. */
export const RealtimeConfigSchema = Type.Object({
  ...ServiceConfigSchema.properties,
  ...DataConfigSchema.properties,
  /** Streams of this instance. */
  MAX_STREAMS: Type.Integer({ minimum: 1, maximum: 1_000_000, default: 20_000 }),
  /** Streams of one user on this instance. */
  STREAMS_PER_USER: Type.Integer({ minimum: 1, maximum: 1_000, default: 10 }),
  HEARTBEAT_MS: Milliseconds(15_000),
  /** Bytes that wait for one slow reader; above it the reader is fed from the log at its own pace. */
  STREAM_BUFFER_BYTES: Type.Integer({ minimum: 1_024, maximum: 64 * 1024 * 1024, default: 256 * 1024 }),
  /** A reader that takes nothing for so long is gone. */
  STALL_MS: Milliseconds(30_000),
  /** Streams are told to come back elsewhere over at most this long. */
  DRAIN_SPREAD_MS: Milliseconds(3_000),
  /** Each stream compares itself with the log this often, whether or not anything came. */
  VERIFY_MS: Milliseconds(300_000),
  /** For how long after their last stream users are written to. */
  ACTIVE_MS: Milliseconds(24 * HOUR_MS),
  /** The log: messages a user, age, and bytes in all. */
  LOG_MESSAGES: Type.Integer({ minimum: 10, maximum: 100_000, default: 1_000 }),
  LOG_AGE_MS: Milliseconds(24 * HOUR_MS),
  LOG_MAX_BYTES: Type.Integer({ minimum: 1024 * 1024, maximum: 2 ** 50, default: 1024 ** 3 }),
  /** The data of one message; a longer text is left out and has to be read. */
  MESSAGE_BYTES: Type.Integer({ minimum: 512, maximum: 512 * 1024, default: 8 * 1024 })
})
export type RealtimeConfig = Static<typeof RealtimeConfigSchema>
