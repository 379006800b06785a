import { headers, type MsgHdrs } from '@nats-io/transport-node'
import { typeOf } from './partitions.ts'

/** What every event carries beside its data: CloudEvents 1.0 attributes in binary mode, plus the trace. */
export type Envelope = {
  /** Unique for ever; the inbox and JetStream's duplicate window know an event by it. */
  id: string
  /** Its type, `content.post.created.v1`: the subject on the wire without the partition. */
  subject: string
  /** What the event is about. */
  entity: string
  /** In whose order it is kept. */
  orderKey: string
  /** RFC 3339. */
  time: string
  traceparent: string | undefined
}

/** The attribute of CloudEvents' extension for partitioning. What was published by a release before order keys has none. */
export const PARTITION_KEY = 'ce-partitionkey'

/** The NATS headers of an event. One that was recorded before there were order keys goes without. */
export function toHeaders(
  service: string,
  envelope: Omit<Envelope, 'orderKey'> & { orderKey: string | undefined }
): MsgHdrs {
  const h = headers()
  h.set('ce-specversion', '1.0')
  h.set('ce-id', envelope.id)
  h.set('ce-type', envelope.subject)
  h.set('ce-source', `/skerry/${service}`)
  h.set('ce-time', envelope.time)
  h.set('ce-subject', envelope.entity)
  if (envelope.orderKey !== undefined) h.set(PARTITION_KEY, envelope.orderKey)
  h.set('content-type', 'application/json')
  if (envelope.traceparent !== undefined) h.set('traceparent', envelope.traceparent)
  return h
}

/**
 * The envelope of a received message, or undefined when it isn't an event of ours. Where the server itself sends on what a stream holds, to
 * whatever subject it was asked for, it says so in a header that no publisher can take off: such a copy is nobody's event.
 */
export function fromHeaders(subject: string, h: MsgHdrs | undefined): Envelope | undefined {
  const id = h?.get('ce-id')
  const entity = h?.get('ce-subject')
  if (h === undefined || !id || !entity || h.has('Nats-Stream')) return undefined
  const orderKey = h.get(PARTITION_KEY) || entity
  return {
    id,
    subject: typeOf(subject),
    entity,
    orderKey,
    time: h.get('ce-time'),
    traceparent: h.get('traceparent') || undefined
  }
}
