import { hostname, userInfo } from 'node:os'
import { JetStreamApiError, type JetStreamManager, type StoredMsg, type StreamInfo } from '@nats-io/jetstream'
import type { OperationView, OperatorAnswer } from '@skerry/events'
import { managerOf, type NatsConnection } from '@skerry/service'
import { StartError } from '@skerry/stores'
import { connectAsOperator } from '../operator.ts'
import { homeFolder } from '../repository.ts'
import { readRunFile } from '../up/status.ts'

/** Where a command reads its settings and writes to. */
export type Io = {
  env: NodeJS.ProcessEnv
  out: NodeJS.WritableStream & { isTTY?: boolean }
  err: NodeJS.WritableStream & { isTTY?: boolean }
}

/** What a command works with. */
export type Context = {
  io: Io
  nc: NatsConnection
  jsm: JetStreamManager
  /** Who asks, for the record. */
  by: string
  json: boolean
  say(line: string): void
}

const ASK_MS = 5_000

/** Connects to the system that runs in this home, or to the NATS that the environment names. */
export async function openContext(io: Io, options: { by?: string | undefined; json: boolean }): Promise<Context> {
  const home = homeFolder(io.env)
  const { processes } = io.env.NATS_URL ? { processes: [] } : await readRunFile(home)
  const nc = await connectAsOperator('skerry events', home, processes, io.env)
  return {
    io,
    nc,
    jsm: await managerOf(nc),
    by: options.by ?? operatorName(),
    json: options.json,
    say: (line) => void io.out.write(`${line}\n`)
  }
}

function operatorName(): string {
  try {
    return `${userInfo().username}@${hostname()}`
  } catch {
    // A container's user may have no name.
    return `uid ${process.getuid?.() ?? '?'}@${hostname()}`
  }
}

export type ConsumerName = { service: string; purpose: string; consumer: string }

/** Reads `<service>--<purpose>`; undefined for another name, such as subscribers in other languages may choose. */
export function consumerName(text: string): ConsumerName | undefined {
  const [, service, purpose] = /^([a-z][a-z0-9-]*?)--([a-z0-9][a-zA-Z0-9-]*)$/.exec(text) ?? []
  return service === undefined || purpose === undefined ? undefined : { service, purpose, consumer: text }
}

/** The same for what was given on the command line. */
export function parseConsumer(text: string | undefined, command: string): ConsumerName {
  if (text === undefined) throw new StartError(`give the name of the consumer: ./skerry events ${command}`)
  const name = consumerName(text)
  if (name === undefined)
    throw new StartError(`${text} is not the name of a consumer, as content--feeds. See: ./skerry events lag`)
  return name
}

/** Asks a service. What it refuses, and that nobody answers, becomes one line; `code` says which refusal it was. */
export async function ask<T>(context: Context, service: string, topic: string, request: object = {}): Promise<T> {
  let answer: OperatorAnswer
  try {
    const reply = await context.nc.request(`ops.${service}.${topic}`, JSON.stringify(request), { timeout: ASK_MS })
    answer = reply.json<OperatorAnswer>()
  } catch (error) {
    throw new Unanswered(service, topic, error as Error)
  }
  if (!answer.ok) throw new Refused(answer.code, answer.message)
  return answer.value as T
}

/** What a service answered with instead of a value. */
export class Refused extends StartError {
  readonly code: string
  constructor(code: string, message: string) {
    super(message)
    this.code = code
  }
}

/** Nobody is there, or not quick enough. */
export class Unanswered extends StartError {
  constructor(service: string, topic: string, cause: Error) {
    const what = topic.replace(/\.(model\.)?\w+$/, '')
    const silent = /no responders/i.test(cause.message)
    super(
      silent
        ? `no instance of ${service} that runs has a ${topic.includes('.model.') ? 'read model' : 'consumer'} ${what}. See: ./skerry events lag, ./skerry status`
        : `${service} did not answer within ${ASK_MS / 1_000} s (${cause.message}): is it healthy? See: ./skerry status`,
      { cause }
    )
  }
}

/** The value of a question that may go unanswered: then undefined. */
export async function askMaybe<T>(context: Context, service: string, topic: string): Promise<T | undefined> {
  try {
    return await ask<T>(context, service, topic)
  } catch (error) {
    if (error instanceof Unanswered) return undefined
    throw error
  }
}

/** Services that have a stream for dead letters: also those that publish nothing. In order of their names. */
export async function deadLetterServices(jsm: JetStreamManager): Promise<string[]> {
  const names = (await allStreams(jsm)).map(({ config }) => config.name)
  return names.flatMap((name) => (name.startsWith('dlq_') ? [name.slice('dlq_'.length)] : [])).sort()
}

/** The streams of services: each has one for dead letters beside it. In order of their names. */
export async function eventStreams(jsm: JetStreamManager): Promise<StreamInfo[]> {
  const all = await allStreams(jsm)
  const names = new Set(all.map(({ config }) => config.name))
  return all
    .filter(({ config: { name } }) => names.has(`dlq_${name}`))
    .sort((a, b) => a.config.name.localeCompare(b.config.name))
}

async function allStreams(jsm: JetStreamManager): Promise<StreamInfo[]> {
  const all: StreamInfo[] = []
  for await (const info of jsm.streams.list()) all.push(info)
  return all
}

/** How many messages each subject of a stream has. */
export async function subjectCounts(jsm: JetStreamManager, stream: string): Promise<Record<string, number>> {
  return (await jsm.streams.info(stream, { subjects_filter: '>' })).state.subjects ?? {}
}

/** The first message of a subject from a sequence on, or the last one. */
export async function messageOf(
  jsm: JetStreamManager,
  stream: string,
  query: { seq: number; next_by_subj: string } | { last_by_subj: string }
): Promise<StoredMsg | undefined> {
  try {
    return (await jsm.streams.getMessage(stream, query as { seq: number })) ?? undefined
  } catch (error) {
    if (error instanceof JetStreamApiError && error.code === 10037) return undefined
    throw error
  }
}

/** Waits until an operation has ended, up to `boundMs`; undefined when it is still pending then. */
export async function waitForOperation(
  context: Context,
  { service, purpose }: ConsumerName,
  id: string,
  options: { boundMs: number; onView?(view: OperationView): void }
): Promise<OperationView | undefined> {
  const until = Date.now() + options.boundMs
  for (;;) {
    const view = await ask<OperationView>(context, service, `${purpose}.operation`, { id })
    options.onView?.(view)
    if (view.state !== 'pending') return view
    if (Date.now() > until) return undefined
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
}
