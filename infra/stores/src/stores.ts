import { join } from 'node:path'
import type { StoreApp } from './apps.ts'
import { checkMongo, checkNats, checkRedis, type ExternalStore, type ExternalUrls } from './external.ts'
import { StartError } from './faults.ts'
import { type FoundBinary, findBinary } from './find.ts'
import { prepareHome } from './home.ts'
import { mongoUrl, startMongod } from './mongod.ts'
import { startNats } from './nats.ts'
import { endOrphan } from './orphan.ts'
import { freePort } from './ports.ts'
import { startRedis } from './redis.ts'
import { loadSecrets, type Secrets } from './secrets.ts'
import type { Server, ServerEvents } from './server.ts'
import { MONGOD, NATS_SERVER, REDIS, type ServerSource } from './sources.ts'
import { SUBSCRIBER } from './subscriber.ts'

export type StoresOptions = ServerEvents & {
  /** Folder for data, keys and logs: `.skerry`. */
  home: string
  /** Cache of fetched binaries; `<home>/bin` when not given. */
  binDir?: string
  apps: readonly StoreApp[]
  /** One line of progress at a time. */
  say(line: string): void
  /** Stores that run elsewhere and are used instead of one of ours. */
  external?: ExternalUrls
  /** Ports; free ones when not given. */
  ports?: Partial<Record<'mongod' | 'nats-server' | 'redis', number>>
  testAccounts?: number
}

export type StorePart = {
  name: ServerSource['name']
  /** With the credentials of its administrator. */
  url: string
  address: string
  version: string
  /** A path, `cache`, `fetched`, or the variable that named it. */
  from: string
  ms: number
  server: Server
}

/** The running stores of one home. */
export type Stores = {
  readonly parts: readonly StorePart[]
  readonly secrets: Secrets
  readonly ports: { mongod: number; nats: number; redis: number }
  readonly urls: { mongo: string; nats: string; redis: string }
  /** The environment that an app needs to reach its own stores, and nothing of another's. */
  envFor(app: string): Record<string, string>
  /** Stops all of them. */
  stop(): Promise<void>
}

/**
 * Finds, starts and configures mongod, nats-server and Redis, side by side. Resolves when all answer and every app's user exists. When one
 * fails, those that run are stopped again and the first fault is thrown.
 */
export async function startStores(options: StoresOptions): Promise<Stores> {
  const { home, apps, external = {} } = options
  await prepareHome(home)
  const appNames = apps.map((a) => a.name)
  const secrets = await loadSecrets(home, [...appNames, SUBSCRIBER])
  const databases = Object.fromEntries(apps.flatMap((a) => (a.database === undefined ? [] : [[a.name, a.database]])))
  const common = { home, secrets, events: options }

  const starting: Promise<StorePart>[] = [
    external.mongod !== undefined
      ? elsewhere(MONGOD, checkMongo(external.mongod))
      : local(MONGOD, options, async (binary, port) => ({
          server: await startMongod({ ...common, binary, port, databases }),
          url: mongoUrl(port, 'root', secrets.mongoRoot)
        })),
    external['nats-server'] !== undefined
      ? elsewhere(NATS_SERVER, checkNats(external['nats-server']))
      : local(NATS_SERVER, options, async (binary, port) => ({
          server: await startNats({
            ...{ ...common, binary, port, apps, testAccounts: options.testAccounts ?? 0 }
          }),
          url: `nats://127.0.0.1:${port}`
        })),
    external.redis !== undefined
      ? elsewhere(REDIS, checkRedis(external.redis))
      : local(REDIS, options, async (binary, port) => ({
          server: await startRedis({ ...common, binary, port, apps: appNames }),
          url: `redis://admin:${secrets.redisAdmin}@127.0.0.1:${port}`
        }))
  ]
  const settled = await Promise.allSettled(starting)
  const parts = settled.flatMap((s) => (s.status === 'fulfilled' ? [s.value] : []))
  const stop = async () => void (await Promise.all(parts.map((p) => p.server.stop())))
  const failed = settled.find((s) => s.status === 'rejected')
  if (failed !== undefined || options.signal?.aborted === true) {
    await stop()
    options.signal?.throwIfAborted()
    throw failed?.reason
  }
  const [mongod, nats, redis] = parts as [StorePart, StorePart, StorePart]

  return {
    parts,
    secrets,
    ports: { mongod: mongod.server.port, nats: nats.server.port, redis: redis.server.port },
    urls: { mongo: mongod.url, nats: nats.url, redis: redis.url },
    envFor(app) {
      const password = secrets.apps[app]
      if (password === undefined) throw new Error(`${app} is not an app of these stores`)
      const database = databases[app]
      const mongo = external.mongod ?? mongoUrl(mongod.server.port, app, password)
      return {
        ...natsEnv(external['nats-server'] ?? `nats://${app}:${password}@127.0.0.1:${nats.server.port}`),
        REDIS_URL: external.redis ?? `redis://${app}:${password}@127.0.0.1:${redis.server.port}`,
        REDIS_PREFIX: `${app}:`,
        ...(database === undefined ? {} : { MONGO_URL: mongo, MONGO_DATABASE: database }),
        ...(app === 'auth' ? { AUTH_SIGNING_KEY: JSON.stringify(secrets.authSigningKey) } : {})
      }
    },
    stop
  }
}

async function local(
  source: ServerSource,
  options: StoresOptions,
  start: (binary: string, port: number) => Promise<{ server: Server; url: string }>
): Promise<StorePart> {
  const { home, binDir = join(home, 'bin'), say, signal } = options
  await endOrphan(source.name, home, say)
  const found: FoundBinary = await findBinary(source, binDir, say, signal)
  const startedAt = Date.now()
  const port = options.ports?.[source.name] ?? (await freePort())
  const { server, url } = await start(found.path, port).catch((error: NodeJS.ErrnoException) => {
    // A home that somebody has put something else into, or a disk that is full by now.
    throw error.syscall === undefined ? error : new StartError(`${source.name}: ${error.message}`, { cause: error })
  })
  return {
    name: source.name,
    url,
    address: `127.0.0.1:${server.port}`,
    version: found.version,
    from: found.from === 'PATH' ? found.path : found.from,
    ms: Date.now() - startedAt,
    server
  }
}

async function elsewhere(source: ServerSource, checked: Promise<ExternalStore>): Promise<StorePart> {
  const startedAt = Date.now()
  const { url, address, version } = await checked
  const server: Server = {
    name: source.name,
    port: Number(address.split(':').at(-1)),
    pid: () => undefined,
    stop: async () => undefined,
    kill: () => undefined
  }
  return { name: source.name, url, address, version, from: source.urlVariable, ms: Date.now() - startedAt, server }
}

/** NATS clients take the address and the user apart. */
function natsEnv(url: string): Record<string, string> {
  const { protocol, host, username, password } = new URL(url)
  return {
    NATS_URL: `${protocol}//${host}`,
    NATS_USER: decodeURIComponent(username),
    NATS_PASSWORD: decodeURIComponent(password)
  }
}
