import { setTimeout as delay } from 'node:timers/promises'
import { JetStreamApiError, jetstream, jetstreamManager } from '@nats-io/jetstream'
import { headers, type Msg } from '@nats-io/transport-node'
import type { Logger, NatsConnection } from '@skerry/service'
import { entryOf, type LiveEntry, type LogBatch, type LogPosition, TYPE } from './entry.ts'
import { createGate } from './gate.ts'
import { ensureLog, LOG, type LogLimits, limitLog, REPUBLISHED } from './log-stream.ts'
import { readLog } from './read-log.ts'

export type LiveMessageToAppend = { readonly id: string; readonly type: string; readonly body: string }

export type LiveLog = {
  /** Messages kept a user. */
  readonly perUser: number
  /** False while the connection to NATS is down. */
  available(): boolean
  /** How far the log reached when it was last asked. */
  latest(): LogPosition
  /** How far it reaches at a moment after this call; calls share their requests. Makes the log again when it was lost. */
  position(): Promise<LogPosition>
  /** The next messages of a user after a sequence, bounded in number and bytes. */
  read(userId: string, after: number): Promise<LogBatch>
  /** Calls back with what is appended for a user from now on. Returns what ends it. */
  listen(userId: string, onEntry: (entry: LiveEntry) => void): () => void
  /** One attempt to append; resolves when it is on disk. The same id is dropped for the duplicate window. */
  append(userId: string, message: LiveMessageToAppend): Promise<void>
  /** Appends, again and again while NATS is away; rejects once `close` was called. */
  appendSurely(userId: string, message: LiveMessageToAppend): Promise<void>
  /** Removes all messages of a user; resolves with how many. */
  erase(userId: string): Promise<number>
  onReconnect(listener: () => void): void
  /** Ends the waits of `appendSurely`. The connection is the caller's to close. */
  close(): void
}

const PUBLISH_MS = 2_000
const READS_AT_ONCE = 64
/** Enough to keep JetStream's disk busy, few enough to be acknowledged within PUBLISH_MS. */
const APPENDS_AT_ONCE = 256

/** Opens the one log of live messages, a JetStream stream with a subject a user, and makes it when it is not there. */
export async function openLiveLog(nc: NatsConnection, limits: LogLimits, log: Logger): Promise<LiveLog> {
  const jsm = await jetstreamManager(nc, { checkAPI: false, timeout: 3_000 })
  const js = jetstream(nc, { timeout: PUBLISH_MS })
  const closing = new AbortController()
  const listeners: (() => void)[] = []
  const reading = createGate(READS_AT_ONCE)
  const appending = createGate(APPENDS_AT_ONCE)
  let away = false
  let known = await ensureLog(jsm, limits)
  await limitLog(jsm, limits)
  let asking: Promise<LogPosition> | undefined
  let next: Promise<LogPosition> | undefined

  const ask = async () => {
    const position = await ensureLog(jsm, limits)
    if (position.stamp !== known.stamp)
      log.warn({ from: known.stamp, to: position.stamp }, 'the live log was recreated')
    known = position
    return position
  }

  const follow = async () => {
    for await (const status of nc.status()) {
      if (status.type === 'disconnect') away = true
      if (status.type !== 'reconnect') continue
      away = false
      for (const listener of listeners) listener()
    }
  }
  follow().catch((error: unknown) => log.debug({ err: error }, 'NATS connection closed'))

  const live: LiveLog = {
    perUser: limits.messages,
    available: () => !away && !nc.isClosed(),
    latest: () => known,
    position() {
      // Who comes while a request is under way needs the one after it: the answer has to be younger than the question.
      next ??= (asking ?? Promise.resolve()).then(noop, noop).then(() => {
        next = undefined
        asking = ask()
        return asking
      })
      return next
    },
    read: (userId, after) => reading(() => readLog(jsm, userId, after)),
    listen(userId, onEntry) {
      const subject = `${REPUBLISHED}.${userId}`
      const subscription = nc.subscribe(subject, {
        callback: (error, message) => {
          // A push consumer delivers to any subject, whoever made it; its messages keep the subject that they were published under.
          const entry = error === null && message.subject === subject ? entryOfRepublished(message) : undefined
          if (entry !== undefined) onEntry(entry)
        }
      })
      return () => {
        if (!nc.isClosed()) subscription.unsubscribe()
      }
    },
    async append(userId, message) {
      const h = headers()
      h.set(TYPE, message.type)
      await js.publish(`${LOG}.${userId}`, message.body, {
        msgID: `${message.id}:${userId}`,
        headers: h,
        timeout: PUBLISH_MS,
        expect: { streamName: LOG }
      })
    },
    async appendSurely(userId, message) {
      for (let attempt = 0; ; attempt++) {
        closing.signal.throwIfAborted()
        try {
          await appending(() => live.append(userId, message))
          return
        } catch (error) {
          if (nc.isClosed() || (error instanceof JetStreamApiError && error.status < 500)) throw error
          if (attempt % 10 === 0) log.warn({ err: error, attempt }, 'failed to append a live message, retrying')
          await delay(Math.min(2_000, 50 * 2 ** attempt), undefined, { signal: closing.signal })
          await live.position().catch((e: unknown) => log.debug({ err: e }, 'the live log does not respond either'))
        }
      }
    },
    async erase(userId) {
      return (await jsm.streams.purge(LOG, { filter: `${LOG}.${userId}` })).purged
    },
    onReconnect: (listener) => listeners.push(listener),
    close: () => closing.abort(new Error('the live log is closing'))
  }
  return live
}

function noop(): void {}

/** A republished message, or undefined for what the server did not stamp. */
function entryOfRepublished(message: Msg): LiveEntry | undefined {
  return message.headers === undefined ? undefined : entryOf(message.headers, message.string())
}
