import { type ConsumerInfo, JetStreamApiError } from '@nats-io/jetstream'
import { type ConsumerStatus, consumerOfDurable, type OutboxStatus } from '@skerry/events'
import { table } from '../up/table.ts'
import { ageOf } from './format.ts'
import { askMaybe, type ConsumerName, type Context, consumerName, eventStreams, messageOf } from './system.ts'

const STREAM_NOT_FOUND = 10059

/** Each consumer on each stream: what it has still to do, what it could not do, since when, and who works on it; then each outbox. */
export async function lag(context: Context): Promise<number> {
  const streams = await eventStreams(context.jsm)
  const services = streams.map(({ config }) => config.name)
  const [consumers, outboxes] = await Promise.all([
    Promise.all(services.map((stream) => consumersOf(context, stream))),
    Promise.all(
      services.map(async (service) => ({
        service,
        status: await askMaybe<OutboxStatus>(context, service, 'relay.status')
      }))
    )
  ])
  const all = consumers.flat()
  if (context.json) {
    const outbox = outboxes.map(({ service, status }) => ({
      service,
      ...(status ?? { pending: null, oldest: null, owner: null })
    }))
    context.say(JSON.stringify({ consumers: all, outbox }))
    return 0
  }
  const heading = ['consumer', 'stream', 'owner', 'pending', 'unacked', 'redelivered', 'dead', 'oldest', 'replay']
  context.say(
    table([
      heading,
      ...all.map((c) => [
        ...[c.consumer, c.stream, c.owner ?? 'nobody', String(c.pending), String(c.unacked), String(c.redelivered)],
        ...[String(c.deadLetters), ageOf(c.oldest), c.replay === null ? '' : `${c.replay.floor} of ${c.replay.until}`]
      ])
    ])
  )
  context.say('')
  context.say(
    table([
      ['outbox', 'relay', 'pending', 'oldest'],
      ...outboxes.map(({ service, status }) =>
        status === undefined
          ? [service, 'no answer', '-', '-']
          : [service, status.owner ?? 'nobody', String(status.pending), ageOf(status.oldest)]
      )
    ])
  )
  return 0
}

async function consumersOf(context: Context, stream: string) {
  const found: ConsumerInfo[] = []
  for await (const info of context.jsm.consumers.list(stream))
    if (info.config.durable_name !== undefined) found.push(info)
  const consumers = Map.groupBy(found, (info) => consumerOfDurable(info.name).consumer)
  return Promise.all(
    [...consumers]
      .sort(([a], [b]) => a.localeCompare(b))
      .map(([consumer, durables]) => describe(context, stream, consumer, durables))
  )
}

/** A consumer on a stream, with the durables of its partitions taken together. */
async function describe(context: Context, stream: string, consumer: string, durables: readonly ConsumerInfo[]) {
  const name = consumerName(consumer)
  const [status, dead, oldest] = await Promise.all([
    name === undefined ? undefined : askMaybe<ConsumerStatus>(context, name.service, `${name.purpose}.status`),
    name === undefined ? 0 : deadLettersOf(context, name),
    Promise.all(
      durables.map((info) =>
        info.num_pending + info.num_ack_pending === 0 ? null : oldestUnhandled(context, stream, info)
      )
    )
  ])
  const parts = status?.parts.filter((p) => p.stream === stream) ?? []
  const owners = [...new Set(parts.map((part) => part.owner ?? 'nobody'))].sort()
  const replays = parts.flatMap(({ replay }) => (replay === null ? [] : [replay])).sort((a, b) => a.floor - b.floor)
  const sum = (of: (info: ConsumerInfo) => number) => durables.reduce((all, info) => all + of(info), 0)
  return {
    ...{ consumer, stream, replay: replays[0] ?? null },
    owner: owners.length === 0 || owners.join() === 'nobody' ? null : owners.join(','),
    pending: sum((info) => info.num_pending),
    unacked: sum((info) => info.num_ack_pending),
    redelivered: sum((info) => info.num_redelivered),
    deadLetters: dead,
    oldest: oldest.filter((time) => time !== null).sort()[0] ?? null
  }
}

async function deadLettersOf({ jsm }: Context, { service, purpose }: ConsumerName): Promise<number> {
  const subject = `dlq.${service}.${purpose}`
  try {
    return (await jsm.streams.info(`dlq_${service}`, { subjects_filter: subject })).state.subjects?.[subject] ?? 0
  } catch (error) {
    // A service that has not started yet has no stream for them.
    if (error instanceof JetStreamApiError && error.code === STREAM_NOT_FOUND) return 0
    throw error
  }
}

/** When the first event after the acknowledged floor that the consumer asks for came into the stream. */
async function oldestUnhandled({ jsm }: Context, stream: string, info: ConsumerInfo): Promise<string | null> {
  const { filter_subjects, filter_subject } = info.config
  const subjects = filter_subjects ?? [filter_subject ?? '>']
  const seq = info.ack_floor.stream_seq + 1
  const next = await Promise.all(subjects.map((subject) => messageOf(jsm, stream, { seq, next_by_subj: subject })))
  const times = next.flatMap((message) => (message === undefined ? [] : [message.timestamp]))
  return times.sort()[0] ?? null
}
