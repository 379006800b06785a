import { once } from 'node:events'
import { DeliverPolicy, type JsMsg } from '@nats-io/jetstream'
import { typeOf } from '@skerry/events'
import { jetstreamOf } from '@skerry/service'
import { StartError } from '@skerry/stores'
import { hasColours, type Paint, painter, prettyPayload, printable } from './format.ts'
import { type Context, eventStreams } from './system.ts'
import { parseTime } from './time.ts'

export type TailOptions = { subject?: string; entity?: string; since?: string; count?: string }

/**
 * Prints events as they come, or from a time on, until Ctrl-C or so many. Within a stream in its order; between streams as they arrive.
 * Changes nothing for anybody: it reads with consumers of its own, which go with it.
 */
export async function tail(context: Context, options: TailOptions): Promise<number> {
  const since = options.since === undefined ? undefined : parseTime('--since', options.since)
  const limit = options.count === undefined ? Number.POSITIVE_INFINITY : countOf(options.count)
  const names = (await eventStreams(context.jsm)).map(({ config }) => config.name)
  const wanted = subjectsOf(options.subject, names)
  const paint = painter(hasColours(context.io.out, context.io.env))
  const js = jetstreamOf(context.nc)
  const stopping = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stopping.abort())
  const { out } = context.io
  out.once('error', (error: NodeJS.ErrnoException) => {
    // `| head` has seen enough.
    if (error.code !== 'EPIPE') throw error
    stopping.abort()
  })
  let printed = 0

  async function follow([stream, subjects]: [string, string[]]): Promise<void> {
    const consumer = await js.consumers.get(stream, {
      filter_subjects: subjects,
      ...(since === undefined
        ? { deliver_policy: DeliverPolicy.New }
        : { deliver_policy: DeliverPolicy.StartTime, opt_start_time: since.toISOString() })
    })
    const messages = await consumer.consume({ max_messages: 100 })
    const stop = () => messages.stop()
    stopping.signal.addEventListener('abort', stop)
    if (stopping.signal.aborted) stop()
    for await (const message of messages) {
      if (options.entity !== undefined && message.headers?.get('ce-subject') !== options.entity) continue
      if (printed >= limit) break
      printed++
      const text = context.json ? lineOf(message) : blockOf(message, paint)
      if (!out.write(`${text}\n`)) await Promise.race([once(out, 'drain'), aborted(stopping.signal)])
      if (printed >= limit) stopping.abort()
    }
  }

  if (!context.json)
    context.io.err.write(`listening to ${wanted.flatMap(([, subjects]) => subjects).join(' ')} (Ctrl-C ends it)\n`)
  await Promise.all(wanted.map(follow))
  return 0
}

/**
 * The streams that a pattern may concern, each with the subjects to filter by. `content.post` stands for all below it, and a whole type for it
 * in all partitions; `*` and `>` are those of NATS.
 */
export function subjectsOf(pattern: string | undefined, streams: readonly string[]): [string, string[]][] {
  const tokens = (pattern ?? '>').split('.')
  if (tokens.some((token, i) => !/^[a-z0-9-]+$|^\*$|^>$/i.test(token) || (token === '>' && i < tokens.length - 1)))
    throw new StartError(
      `--subject ${pattern} does not fit: write it as content.post, content.*.created.v1 or content.>`
    )
  const [first = '>', ...rest] = tokens
  const open = rest.length < 3 && rest.at(-1) !== '>' ? [...rest, '>'] : rest
  const wild = first === '*' || first === '>'
  if (!wild && !streams.includes(first))
    throw new StartError(
      `there is no stream ${first}, only ${streams.join(', ') || 'none at all'}. See: ./skerry events ls`
    )
  return streams
    .filter((name) => wild || name === first)
    .map((name) => {
      const subject = [name, ...open].join('.')
      return [name, rest.length === 3 && rest.at(-1) !== '>' ? [subject, `${subject}.*`] : [subject]]
    })
}

function countOf(text: string): number {
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new StartError(`--count ${text} does not fit: give a number from 1 on`)
  return Number(text)
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}

function partsOf(message: JsMsg) {
  const header = (name: string) => message.headers?.get(name) ?? ''
  return {
    subject: typeOf(message.subject),
    sequence: message.info.streamSequence,
    id: header('ce-id'),
    entity: header('ce-subject'),
    orderKey: header('ce-partitionkey') || header('ce-subject'),
    time: header('ce-time') || new Date(message.info.timestampNanos / 1e6).toISOString(),
    traceparent: header('traceparent') || undefined
  }
}

function lineOf(message: JsMsg): string {
  const text = message.string()
  let data: unknown
  try {
    data = JSON.parse(text)
  } catch {
    return JSON.stringify({ ...partsOf(message), text })
  }
  return JSON.stringify({ ...partsOf(message), data })
}

function blockOf(message: JsMsg, paint: Paint): string {
  const { time, subject, entity, sequence, id } = partsOf(message)
  const head = `${paint('dim', time)} ${paint('green', subject)} ${printable(entity)} ${paint('dim', `#${sequence} ${printable(id)}`)}`
  return `${head}\n${prettyPayload(message.string(), paint)}`
}
