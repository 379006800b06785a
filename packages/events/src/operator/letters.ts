import { JetStreamApiError, type JetStreamManager, type StoredMsg } from '@nats-io/jetstream'
import { PARTITION_KEY } from '../headers.ts'

/** A dead letter as it is kept. */
export type Letter = {
  service: string
  /** Its number in `dlq_<service>`. */
  number: number
  consumer: string
  subject: string
  /** The event's number in its stream. */
  sequence: number
  error: string
  attempts: number
  firstAt: string
  lastAt: string
  /** Undefined when the message was no event of ours. */
  eventId: string | undefined
  entity: string | undefined
  /** Undefined for an event of a release before order keys as well. */
  orderKey: string | undefined
  time: string
  traceparent: string | undefined
  /** Under which name the inbox would know it: another than the consumer's when a replay delivered it. */
  inboxKey: string
  payload: string
}

const MESSAGE_NOT_FOUND = 10037
const STREAM_NOT_FOUND = 10059

/** One letter by its number; undefined when there is none. */
export async function readLetter(jsm: JetStreamManager, service: string, number: number): Promise<Letter | undefined> {
  try {
    const stored = await jsm.streams.getMessage(`dlq_${service}`, { seq: number })
    return stored === null ? undefined : letterOf(service, stored)
  } catch (error) {
    if (isGone(error)) return undefined
    throw error
  }
}

/** The first `limit` letters of a service after a number, oldest first, of one consumer or of all. */
export async function listLetters(
  jsm: JetStreamManager,
  service: string,
  page: { after?: number; limit: number; consumer?: string | undefined }
): Promise<Letter[]> {
  const letters: Letter[] = []
  const purpose = page.consumer === undefined ? '>' : page.consumer.slice(service.length + 2)
  let next = (page.after ?? 0) + 1
  while (letters.length < page.limit) {
    const stored = await nextMessage(jsm, service, next, `dlq.${service}.${purpose}`)
    if (stored === undefined) return letters
    letters.push(letterOf(service, stored))
    next = stored.seq + 1
  }
  return letters
}

async function nextMessage(
  jsm: JetStreamManager,
  service: string,
  seq: number,
  subject: string
): Promise<StoredMsg | undefined> {
  try {
    // The server takes `next_by_subj` here as in direct reads, which say nothing of a stream that is not there; the client's type lacks it.
    const query = { seq, next_by_subj: subject } as { seq: number }
    return (await jsm.streams.getMessage(`dlq_${service}`, query)) ?? undefined
  } catch (error) {
    if (isGone(error)) return undefined
    throw error
  }
}

/** Takes a letter away; one that is gone is no error. */
export async function deleteLetter(jsm: JetStreamManager, service: string, number: number): Promise<void> {
  try {
    await jsm.streams.deleteMessage(`dlq_${service}`, number)
  } catch (error) {
    if (!isGone(error)) throw error
  }
}

function isGone(error: unknown): boolean {
  if (!(error instanceof JetStreamApiError)) return false
  return (
    error.code === MESSAGE_NOT_FOUND ||
    error.code === STREAM_NOT_FOUND ||
    /no message found|message not found/i.test(error.message)
  )
}

function letterOf(service: string, stored: StoredMsg): Letter {
  const header = (name: string) => stored.header.get(name)
  const consumer = header('skerry-consumer')
  return {
    service,
    number: stored.seq,
    consumer,
    subject: header('skerry-subject'),
    sequence: Number(header('skerry-sequence')),
    error: header('skerry-error'),
    attempts: Number(header('skerry-attempts')),
    firstAt: header('skerry-first-at'),
    lastAt: header('skerry-last-at'),
    eventId: header('ce-id') || undefined,
    entity: header('ce-subject') || undefined,
    orderKey: header(PARTITION_KEY) || undefined,
    time: header('ce-time'),
    traceparent: header('traceparent') || undefined,
    inboxKey: header('skerry-inbox') || consumer,
    payload: stored.string()
  }
}
