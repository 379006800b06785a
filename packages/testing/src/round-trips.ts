import { readFile, writeFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import type { CommandStartedEvent, CommandSucceededEvent, Db } from 'mongodb'
import { waitFor } from './wait.ts'

type Client = {
  on(event: 'commandStarted', listener: (event: CommandStartedEvent) => void): unknown
  on(event: 'commandSucceeded', listener: (event: CommandSucceededEvent) => void): unknown
}
type Publishing = { protocol: { publish(subject: string, ...rest: unknown[]): void } }

/** What was asked of the stores since it was last taken. */
export type RoundTrips = { take(): Counted }
/** `asked`: each command with its collection, and each publication, with how often. */
export type Counted = { commands: number; inserted: number; published: number; asked: ReadonlyMap<string, number> }

/** Collections of what goes on by time in a service that nobody uses. */
const BY_TIME = new Set(['leases', 'consumers', 'operations', 'read_models', 'jobs'])
const NO_WORK = new Set(['explain', 'hello', 'ping', 'endSessions', 'killCursors', 'abortTransaction'])
/** Comments of what is looked for now and then. */
const LOOKS = new Set<unknown>(['relay-pending', 'relay-rebuild', 'clean-up', 'any-merged'])

/**
 * Counts the commands of a MongoDB client that watches its commands, without what goes on by time, and what a NATS connection publishes, without
 * requests of the JetStream API.
 */
export function countRoundTrips(client: Client, nc?: unknown): RoundTrips {
  let counted = { commands: 0, inserted: 0, published: 0, asked: new Map<string, number>() }
  const ask = (what: string) => void counted.asked.set(what, (counted.asked.get(what) ?? 0) + 1)
  const command = (what: string) => {
    counted.commands++
    ask(what)
  }
  client.on('commandStarted', ({ commandName, command: c }) => {
    const collection: unknown = c[commandName]
    if (NO_WORK.has(commandName) || commandName === 'getMore' || LOOKS.has(c.comment)) return
    if (
      BY_TIME.has(String(collection)) ||
      (commandName === 'find' && collection === 'streams') ||
      c.pipeline?.[0]?.$changeStream !== undefined
    )
      return
    command(typeof collection === 'string' ? `${commandName} ${collection}` : commandName)
    if (commandName === 'insert') counted.inserted += c.documents.length
  })
  client.on('commandSucceeded', ({ commandName, reply: answer }) => {
    const reply = answer as { upserted?: unknown[]; cursor: { nextBatch: unknown[] } }
    if (commandName === 'update') counted.inserted += reply.upserted?.length ?? 0
    // A change stream is asked all the time; what counts is that it had something to tell.
    if (commandName === 'getMore' && reply.cursor.nextBatch.length > 0) command('getMore')
  })
  if (nc !== undefined) {
    const { protocol } = nc as Publishing
    const plain = protocol.publish.bind(protocol)
    protocol.publish = (subject, ...rest) => {
      const kind = kindOf(subject, rest[0])
      if (kind !== undefined) {
        counted.published++
        ask(kind)
      }
      plain(subject, ...rest)
    }
  }
  return {
    take() {
      const before = counted
      counted = { commands: 0, inserted: 0, published: 0, asked: new Map() }
      return before
    }
  }
}

/** What a publication is; undefined where it goes on by time, as the word that an event is still worked on (`+WPI`) does. */
function kindOf(subject: string, payload: unknown): 'ack' | 'publish' | undefined {
  if (!subject.startsWith('$JS.ACK.')) return /^(?:\$|_INBOX|ops\.)/.test(subject) ? undefined : 'publish'
  const text = payload instanceof Uint8Array ? Buffer.from(payload).toString() : String(payload)
  return text === '+WPI' ? undefined : 'ack'
}

/**
 * Counts by name what one request, or one event of another service, asks for, and what follows it, as the rows of a table.
 *
 * @param settled resolves when nothing that follows is under way
 * @param asked of the instance that serves requests
 * @param follows of the instance that does what follows
 */
export function countRows(settled: () => Promise<unknown>, asked: RoundTrips, follows: RoundTrips) {
  const rows = new Map<string, Counted>()
  return {
    rows,
    async count<T>(what: string, work: () => Promise<T>): Promise<T> {
      await settled()
      asked.take()
      follows.take()
      const done = await work()
      await settled()
      const [request, rest] = [asked.take(), follows.take()]
      if (request.commands > 0) rows.set(what, request)
      if (rest.commands > 0) rows.set(request.commands > 0 ? `${what}: then` : what, rest)
      return done
    }
  }
}

type Streams = {
  consumers: { list(stream: string): AsyncIterable<{ num_pending: number; num_ack_pending: number }> }
}

const PLANNED = { name: { $gte: '' } }

/** Waits for the first runs of a service's periodic jobs, which begin with it, and puts the next ones off for a day: they come by time. */
export async function putJobsOff(db: Db): Promise<void> {
  const jobs = db.collection('jobs')
  await waitFor(
    async () => {
      const planned = await jobs.find(PLANNED, { comment: 'jobs-due' }).toArray()
      return planned.length > 0 && planned.every(({ lastDueAt }) => lastDueAt !== undefined)
    },
    { message: 'every periodic job has run' }
  )
  await jobs.updateMany(PLANNED, { $set: { dueAt: new Date(Date.now() + 24 * 3600_000) } }, { comment: 'jobs-due' })
}

/** Whether all that a service has written is published and marked, and all that these streams hold is done with. */
export async function isSettled(db: Db, jsm: Streams, streams: readonly string[]): Promise<boolean> {
  // What an event has had written is in the outbox when it is done with; what is published from there may not be done with.
  return (await isDone(jsm, streams)) && !(await isAnyPending(db)) && (await isDone(jsm, streams))
}

async function isAnyPending(db: Db): Promise<boolean> {
  const options = { limit: 1, hint: { pending: 1, seq: 1 }, comment: 'relay-pending' }
  return (await db.collection('outbox').countDocuments({ pending: true }, options)) > 0
}

async function isDone(jsm: Streams, streams: readonly string[]): Promise<boolean> {
  for (const stream of streams)
    for await (const { num_pending, num_ack_pending } of jsm.consumers.list(stream))
      if (num_pending + num_ack_pending > 0) return false
  return true
}

const FILE = resolve(import.meta.dirname, '../../../docs/round-trips.md')

/**
 * Compares what was counted with the table that `docs/round-trips.md` keeps under a name; resolves with both. With SKERRY_WRITE_TABLES in the
 * environment the table is written first.
 *
 * @param routes those of the service: one that was not counted has a row that says so
 */
export async function roundTripTable(
  name: string,
  rows: ReadonlyMap<string, Counted>,
  routes: Readonly<Record<string, { method: string; path: string }>> = {}
): Promise<{ counted: string; kept: string }> {
  const lines = [...rows].map(([what, { commands, inserted, published, asked }]) => {
    const all = [...asked]
    // What a service does by itself goes on side by side.
    if (published > 0) all.sort(([a], [b]) => (a < b ? -1 : 1))
    const list = all.map(([one, times]) => (times === 1 ? one : `${times} × ${one}`)).join(', ')
    return `| ${what} | ${commands} | ${inserted} | ${published} | ${list} |`
  })
  const head = ['| what | commands | documents | published | which |', '| --- | --- | --- | --- | --- |']
  const named = Object.values(routes).map(({ method, path }) => `${method} ${path}`)
  const missing = named.filter((one) => !rows.has(one)).map((one) => `| ${one} | not counted yet | | | |`)
  const counted = [...head, ...lines, ...missing].join('\n')
  const [begin, end] = [`<!-- ${name}: written by its test -->\n\n`, `\n\n<!-- /${name} -->`]
  const text = await readFile(FILE, 'utf8')
  const [from, until] = [text.indexOf(begin) + begin.length, text.indexOf(end)]
  if (from < begin.length || until < from) throw new Error(`docs/round-trips.md has no table ${name}`)
  if (process.env.SKERRY_WRITE_TABLES !== undefined) {
    await writeFile(FILE, text.slice(0, from) + counted + text.slice(until))
    return { counted, kept: counted }
  }
  return { counted, kept: text.slice(from, until) }
}
