import {
  DiscardPolicy,
  JetStreamApiError,
  type JetStreamManager,
  RetentionPolicy,
  StorageType,
  type StreamInfo
} from '@nats-io/jetstream'
import type { LogPosition } from './entry.ts'

/** Name of the stream, and of its subjects' first part. */
export const LOG = 'live'
/** Where the server sends what it has stored, for whoever listens at that moment. */
export const REPUBLISHED = 'rt'

export type LogLimits = {
  /** Messages a user. */
  messages: number
  ageMs: number
  bytes: number
}

const NS_PER_MS = 1_000_000
/** For so long the log drops a message that it has. */
export const DUPLICATE_WINDOW_MS = 600_000
const STREAM_NOT_FOUND = 10059

/** Asks how far the log reaches; makes it when it is not there. */
export async function ensureLog(jsm: JetStreamManager, limits: LogLimits): Promise<LogPosition> {
  try {
    return positionOf(await jsm.streams.info(LOG))
  } catch (error) {
    if (!(error instanceof JetStreamApiError) || error.code !== STREAM_NOT_FOUND) throw error
    return positionOf(
      await jsm.streams.add({
        name: LOG,
        subjects: [`${LOG}.>`],
        storage: StorageType.File,
        retention: RetentionPolicy.Limits,
        discard: DiscardPolicy.Old,
        allow_direct: true,
        republish: { src: `${LOG}.>`, dest: `${REPUBLISHED}.>` },
        ...limited(limits)
      })
    )
  }
}

/** Brings the limits of an existing log up to date: once a start, or instances of two configurations would take turns for ever. */
export async function limitLog(jsm: JetStreamManager, limits: LogLimits): Promise<void> {
  const wanted = limited(limits)
  const { config } = await jsm.streams.info(LOG)
  const same = Object.entries(wanted).every(([name, value]) => config[name as keyof typeof wanted] === value)
  if (!same) await jsm.streams.update(LOG, wanted)
}

function limited(limits: LogLimits) {
  return {
    max_msgs_per_subject: limits.messages,
    max_age: limits.ageMs * NS_PER_MS,
    max_bytes: limits.bytes,
    duplicate_window: Math.min(DUPLICATE_WINDOW_MS, limits.ageMs) * NS_PER_MS
  }
}

function positionOf(info: StreamInfo): LogPosition {
  const { first_seq: first, last_seq: last } = info.state
  return { stamp: Date.parse(info.created).toString(36), first, last }
}
