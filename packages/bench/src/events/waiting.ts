import { setTimeout as delay } from 'node:timers/promises'
import { connect, type NatsConnection } from '@nats-io/transport-node'
import { defineEvent } from '@skerry/contracts'
import { type EventMetrics, eventCollections, on, startConsumer } from '@skerry/events'
import { openStore } from '@skerry/store'
import Type from 'typebox'

/** What an instance is told at its start, as JSON in BENCH_WAITING. */
export type WaitingOptions = {
  service: string
  purpose: string
  instance: string
  mongo: { url: string; database: string }
  nats: { url: string; user: string; password: string }
}

/** From an instance: how many events it has applied since it last told. */
export type Waited = { applied: number }

/** How long a handler waits, as it would for another service. */
export const WAIT_MS = 5

/** The event of a service whose handler waits; each service has a stream of its own. */
export const waitedFor = (service: string) =>
  defineEvent({
    subject: `${service}.thing.made`,
    version: 1,
    summary: 'Only for the bench.',
    entity: (d) => d.id,
    data: Type.Object({ id: Type.String(), text: Type.String() })
  })

export async function openWaiting({ mongo, nats }: Pick<WaitingOptions, 'mongo' | 'nats'>) {
  const store = await openStore({ ...mongo, collections: [...eventCollections] })
  const nc: NatsConnection = await connect({ servers: nats.url, user: nats.user, pass: nats.password })
  const say = (fields: object, message: string) =>
    process.stderr.write(`${message} ${JSON.stringify(fields, (_, v) => (v instanceof Error ? v.message : v))}\n`)
  return { store, nc, log: { debug() {}, info() {}, warn: say, error: say } }
}

const TELL_EVERY_MS = 20

// One instance of a consumer, in a process of its own that ends with its parent.
if (process.env.BENCH_WAITING !== undefined) {
  const options = JSON.parse(process.env.BENCH_WAITING) as WaitingOptions
  const { service, purpose, instance } = options
  const { store, nc, log } = await openWaiting(options)
  let applied = 0
  const handled: EventMetrics['handled'] = (_consumer, _subject, outcome) => {
    if (outcome === 'applied') applied++
  }
  startConsumer({
    ...{ store, nc, log, service, purpose, instance },
    metrics: { outboxDepth() {}, relayed() {}, consumerLag() {}, handled },
    subscriptions: [on(waitedFor(service), () => delay(WAIT_MS))]
  })
  setInterval(() => {
    if (applied === 0) return
    process.send?.({ applied } satisfies Waited)
    applied = 0
  }, TELL_EVERY_MS)
  process.once('disconnect', () => process.exit(1))
}
