import type { StreamInfo } from '@nats-io/jetstream'
import { consumerOfDurable, PARTITIONS, typeOf, WHOLE } from '@skerry/events'
import { table } from '../up/table.ts'
import { shortTime, sizeOf } from './format.ts'
import { type Context, eventStreams, messageOf, subjectCounts } from './system.ts'

/** What streams there are: their subjects with counts and times, their sizes, and who consumes them. */
export async function ls(context: Context): Promise<number> {
  const streams = await Promise.all((await eventStreams(context.jsm)).map((info) => describe(context, info)))
  if (context.json) {
    context.say(JSON.stringify(streams))
    return 0
  }
  if (streams.length === 0) {
    context.say('no service has a stream yet')
    return 0
  }
  const heading = ['stream', 'partitions', 'events', 'size', 'first', 'last', 'whole', 'dead letters', 'consumers']
  context.say(
    table([
      heading,
      ...streams.map((s) => [
        ...[
          s.stream,
          s.partitions ?? 'none',
          String(s.events),
          sizeOf(s.bytes),
          shortTime(s.first),
          shortTime(s.last),
          s.whole ?? 'not noted'
        ],
        ...[String(s.deadLetters), s.consumers.join(' ') || '-']
      ])
    ])
  )
  context.say('')
  const rows = streams.flatMap((s) =>
    s.subjects.map((x) => [x.subject, String(x.events), shortTime(x.first), shortTime(x.last)])
  )
  context.say(table([['subject', 'events', 'first', 'last'], ...rows]))
  return 0
}

async function describe({ jsm }: Context, { config, state }: StreamInfo) {
  const { name } = config
  const [counts, consumers, dead] = await Promise.all([
    subjectCounts(jsm, name),
    consumersOf(jsm, name),
    jsm.streams.info(`dlq_${name}`)
  ])
  const types = Map.groupBy(Object.entries(counts), ([subject]) => typeOf(subject))
  const subjects = await Promise.all(
    [...types]
      .sort(([a], [b]) => a.localeCompare(b))
      .map(async ([subject, parts]) => {
        const [first, last] = await Promise.all([
          Promise.all(parts.map(([part]) => messageOf(jsm, name, { seq: 1, next_by_subj: part }))),
          Promise.all(parts.map(([part]) => messageOf(jsm, name, { last_by_subj: part })))
        ])
        const times = (of: typeof first) =>
          of.flatMap((message) => (message === undefined ? [] : [message.timestamp])).sort()
        return {
          subject,
          events: parts.reduce((sum, [, count]) => sum + count, 0),
          first: times(first)[0],
          last: times(last).at(-1)
        }
      })
  )
  const empty = state.messages === 0
  return {
    stream: name,
    events: state.messages,
    bytes: state.bytes,
    first: empty ? undefined : state.first_ts,
    last: empty ? undefined : state.last_ts,
    whole: config.metadata?.[WHOLE],
    partitions: config.metadata?.[PARTITIONS],
    deadLetters: dead.state.messages,
    consumers,
    subjects
  }
}

async function consumersOf(jsm: Context['jsm'], stream: string): Promise<string[]> {
  const names = new Set<string>()
  for await (const { config } of jsm.consumers.list(stream)) {
    // The others are of people who look, and go with them.
    if (config.durable_name !== undefined) names.add(consumerOfDurable(config.durable_name).consumer)
  }
  return [...names].sort()
}
