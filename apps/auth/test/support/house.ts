import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { Problem } from '@skerry/contracts'
import { openStore } from '@skerry/store'
import { useStores, waitFor } from '@skerry/testing'
import type { Test } from 'tap'
import { newSigningKey } from './system.ts'

export type App = 'auth' | 'users' | 'content' | 'realtime'
const APPS: readonly App[] = ['auth', 'users', 'content', 'realtime']
/** As the CLI has it: a busy machine may take longer to answer than a service that starts waits for. */
const TRIES = 3

/** The services as processes, on stores of their own, without a gateway. */
export type House = {
  start(app: App): Promise<void>
  /** Ends a service: in order, or with `SIGKILL` at once. */
  stop(app: App, signal?: NodeJS.Signals): Promise<void>
  /** A request to the service that has the path. A service that is not there yet is waited for. */
  call<T = Problem>(
    method: string,
    path: string,
    options?: { token?: string; body?: unknown; key?: string }
  ): Promise<{ status: number; body: T }>
  /** Documents of any of the databases that have one of the texts in them: `<app>.<collection> <text>`. */
  search(texts: readonly string[]): Promise<string[]>
  documents(app: App, collection: string): Promise<Record<string, unknown>[]>
  /** Keeps a document as it is: a service that writes to it tries again and again, until this is released. */
  hold(app: App, collection: string, id: string): Promise<() => Promise<void>>
  nats: { url: string; user: string; password: string }
  mongoUrl: string
  database(name: string): string
}

function appOf(path: string): App {
  if (path.startsWith('/v1/auth')) return 'auth'
  if (path.startsWith('/v1/users')) return 'users'
  return path.startsWith('/v1/live') ? 'realtime' : 'content'
}

export async function startHouse(t: Test): Promise<House> {
  const stores = await useStores(t)
  const env = Object.fromEntries(APPS.map((app) => [app, stores.envFor(app)])) as Record<App, Record<string, string>>
  const signingKey = newSigningKey()
  const children = new Map<App, { child: ChildProcess; url: string }>()
  const reader = await openStore({ url: stores.mongoUrl, database: env.auth.MONGO_DATABASE!, collections: [] })

  async function start(app: App, tries = TRIES): Promise<void> {
    const child = fork(join(import.meta.dirname, `../../../${app}/src/main.ts`), {
      env: {
        ...process.env,
        LOG_LEVEL: process.env.SKERRY_LOG_LEVEL ?? 'fatal',
        DRAIN_MS: '0',
        IDLE_KEPT_MS: '0',
        LOG_MAX_BYTES: '33554432',
        ...env[app],
        AUTH_SIGNING_KEY: signingKey
      },
      execArgv: [],
      silent: process.env.SKERRY_LOG_LEVEL === undefined
    })
    const [ready] = (await Promise.race([once(child, 'message'), once(child, 'exit')])) as [{ url: string } | number]
    if (typeof ready !== 'object' || ready === null) {
      if (tries > 1) return start(app, tries - 1)
      throw new Error(`${app} ended before it was ready`)
    }
    children.set(app, { child, url: ready.url })
  }

  async function stop(app: App, signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    const running = children.get(app)
    if (running === undefined) return
    children.delete(app)
    const exited = once(running.child, 'exit')
    running.child.kill(signal)
    await exited
  }

  t.teardown(async () => {
    await Promise.all(APPS.map((app) => stop(app)))
    await reader.close()
  })
  // Auth first, for its keys; the others then come at once.
  await start('auth')
  await Promise.all(APPS.slice(1).map((app) => start(app)))
  const databaseOf = (app: App) => reader.client.db(env[app].MONGO_DATABASE!)

  return {
    start,
    stop,
    async call(method, path, { token, body, key } = {}) {
      const app = appOf(path)
      await waitFor(() => children.has(app), { message: `${app} runs` })
      const answer = await fetch(`${children.get(app)!.url}${path}`, {
        method,
        headers: {
          ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
          ...(key === undefined ? {} : { 'idempotency-key': key })
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) })
      })
      const text = await answer.text()
      return { status: answer.status, body: text === '' ? undefined : JSON.parse(text) }
    },
    async search(texts) {
      const found: string[] = []
      for (const app of APPS) {
        for (const { name } of await databaseOf(app).listCollections({}, { nameOnly: true }).toArray()) {
          for (const document of await databaseOf(app).collection(name).find().toArray()) {
            const json = JSON.stringify(document).toLowerCase()
            for (const text of texts) if (json.includes(text.toLowerCase())) found.push(`${app}.${name} ${text}`)
          }
        }
      }
      return found
    },
    documents: (app, collection) => databaseOf(app).collection(collection).find().toArray(),
    async hold(app, collection, id) {
      const session = reader.client.startSession()
      const found = databaseOf(app).collection<{ _id: string }>(collection)
      const take = async () => {
        session.startTransaction()
        const { matchedCount } = await found.updateOne({ _id: id }, { $set: { held: true } }, { session })
        if (matchedCount !== 1) throw new Error(`${app}.${collection} has no ${id}`)
      }
      await take()
      // mongod ends a transaction that is 5 s old.
      const released = new AbortController()
      const keeping = (async () => {
        while (await delay(2_000, true, { signal: released.signal }).catch(() => false)) {
          await session.abortTransaction()
          await take()
        }
      })()
      return async () => {
        released.abort()
        await keeping
        await session.abortTransaction()
        await session.endSession()
      }
    },
    nats: stores.nats,
    mongoUrl: stores.mongoUrl,
    database: stores.database
  }
}
