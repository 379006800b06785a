import type { JetStreamManager } from '@nats-io/jetstream'
import { orderKeyOf, ownerOf, wireSubject } from '@skerry/contracts'
import type { Store } from '@skerry/store'
import type { Envelope } from '../headers.ts'
import type { Subscription } from '../subscription.ts'
import { validatorOf } from '../validate.ts'
import { type Letter, readLetter } from './letters.ts'
import { type Operation, recordOperation } from './operations.ts'
import { OperatorError } from './protocol.ts'

/** What an operation on a letter carries: all that its owner needs, so that the letter may go. */
export type RetryWork = {
  stream: string
  letter: number
  /** Absent where a letter that is no event of ours is discarded. An operation that an earlier release recorded has no order key. */
  envelope?: Omit<Envelope, 'orderKey'> & { orderKey?: string }
  /** JSON. */
  data: string
  inboxKey: string
}

type Consumer = {
  store: Store
  jsm: JetStreamManager
  service: string
  consumer: string
  subscriptions: readonly Subscription[]
}

/**
 * Records that a letter is to be applied again, with other data if so given. Rejects with BAD_REQUEST where the data does not fit the
 * event's contract or is of another entity or order key, so that nothing is accepted that must fail.
 */
export async function requestRetry(
  consumer: Consumer,
  request: { by: string; letter: number; data?: string }
): Promise<Operation> {
  const letter = await letterOf(consumer, request.letter)
  const { eventId, entity, subject, time, traceparent } = letter
  const subscription = consumer.subscriptions.find((s) => wireSubject(s.event) === subject)
  if (subscription === undefined)
    throw new OperatorError('REFUSED', `${consumer.consumer} handles no ${subject} any more: it can only be discarded`)
  if (eventId === undefined || entity === undefined)
    throw new OperatorError('REFUSED', 'the letter has no ce-id or ce-subject: it can only be discarded')
  const text = request.data ?? letter.payload
  const data = parse(text)
  const problem = validatorOf(subscription.event)(data)
  if (problem !== undefined) throw new OperatorError('BAD_REQUEST', `the payload does not fit ${subject}: ${problem}`)
  const named = subscription.event.entity(data as never)
  if (named !== entity)
    throw new OperatorError(
      'BAD_REQUEST',
      `the payload is about ${named}, the event about ${entity}: an edit may not change that`
    )
  const orderKey = orderKeyOf(subscription.event, data as never)
  if (orderKey !== (letter.orderKey ?? orderKey))
    throw new OperatorError(
      'BAD_REQUEST',
      `the payload is ordered by ${orderKey}, the event by ${letter.orderKey}: an edit may not change that`
    )
  const envelope: Envelope = { id: eventId, subject, entity, orderKey, time, traceparent }
  const work: RetryWork = {
    stream: ownerOf(subscription.event),
    letter: letter.number,
    envelope,
    data: JSON.stringify(data),
    inboxKey: letter.inboxKey
  }
  return recordOperation(consumer.store, {
    consumer: consumer.consumer,
    kind: 'retry',
    target: `letter:${letter.number}`,
    by: request.by,
    request: work,
    before: letter.payload,
    after: request.data === undefined ? null : work.data
  })
}

/** Records that a letter is to be deleted; its payload stays in the record. */
export async function requestDiscard(consumer: Consumer, request: { by: string; letter: number }): Promise<Operation> {
  const letter = await letterOf(consumer, request.letter)
  const [stream = ''] = letter.subject.split('.', 1)
  const handled = consumer.subscriptions.some((s) => ownerOf(s.event) === stream)
  const work: RetryWork = {
    // Whoever owns the consumer on some stream can delete it.
    stream: handled ? stream : ownerOf(consumer.subscriptions[0]!.event),
    letter: letter.number,
    data: '',
    inboxKey: letter.inboxKey
  }
  return recordOperation(consumer.store, {
    consumer: consumer.consumer,
    kind: 'discard',
    target: `letter:${letter.number}`,
    by: request.by,
    request: work,
    before: letter.payload
  })
}

async function letterOf({ jsm, service, consumer }: Consumer, number: number): Promise<Letter> {
  const letter = await readLetter(jsm, service, number)
  if (letter === undefined) throw new OperatorError('NOT_FOUND', `there is no dead letter ${service}/${number}`)
  if (letter.consumer !== consumer)
    throw new OperatorError('NOT_FOUND', `the dead letter ${service}/${number} is one of ${letter.consumer}`)
  return letter
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    throw new OperatorError('BAD_REQUEST', `the payload is not JSON: ${(error as Error).message}`)
  }
}
