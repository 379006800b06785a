import { join } from 'node:path'
import { StartError } from './faults.ts'
import { type FoundBinary, findBinary } from './find.ts'
import { prepareHome } from './home.ts'
import { mongoUrl, startMongod } from './mongod.ts'
import { startNats } from './nats.ts'
import { freePort } from './ports.ts'
import { startRedis } from './redis.ts'
import { loadSecrets, type Secrets } from './secrets.ts'
import { endOrphan, type Server, type ServerEvents } from './server.ts'
import { MONGOD, NATS_SERVER, REDIS, type ServerSource } from './sources.ts'

/** An app as the stores know it. */
export type StoreApp = { name: string; kind: 'service' | 'gateway'; database?: string }

export type StoresOptions = ServerEvents & {
  /** Folder for data, keys and logs: `.skerry`. */
  home: string
  /** Cache of fetched binaries; `<home>/bin` when not given. */
  binDir?: string
  apps: readonly StoreApp[]
  /** One line of progress at a time. */
  say(line: string): void
  /** Ports; free ones when not given. */
  ports?: Partial<Record<'mongod' | 'nats-server' | 'redis', number>>
  testAccounts?: number
}

export type StorePart = { name: string; address: string; version: string; from: string; ms: number; server: Server }

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
  const { home, apps } = options
  await prepareHome(home)
  const binDir = options.binDir ?? join(home, 'bin')
  const secrets = await loadSecrets(
    home,
    apps.map((a) => a.name)
  )
  const services = apps.filter((a) => a.kind === 'service')
  const databases = Object.fromEntries(
    services.flatMap((a) => (a.database === undefined ? [] : [[a.name, a.database]]))
  )
  const events: ServerEvents = options.onChange === undefined ? {} : { onChange: options.onChange }

  async function part(
    source: ServerSource,
    start: (found: FoundBinary, port: number) => Promise<Server>
  ): Promise<StorePart> {
    await endOrphan(source.name, home, options.say)
    const found = await findBinary(source, binDir, options.say)
    const startedAt = Date.now()
    const server = await start(found, options.ports?.[source.name] ?? (await freePort()))
    const from = found.from === 'PATH' ? found.path : found.from
    return {
      name: source.name,
      address: `127.0.0.1:${server.port}`,
      version: found.version,
      from,
      ms: Date.now() - startedAt,
      server
    }
  }

  const settled = await Promise.allSettled([
    part(MONGOD, ({ path }, port) => startMongod({ home, binary: path, port, secrets, databases, events })),
    part(NATS_SERVER, ({ path }, port) =>
      startNats({
        ...{ home, binary: path, port, secrets, events, testAccounts: options.testAccounts ?? 0 },
        services: services.map((a) => a.name),
        gateways: apps.filter((a) => a.kind === 'gateway').map((a) => a.name)
      })
    ),
    part(REDIS, ({ path }, port) =>
      startRedis({ home, binary: path, port, secrets, apps: apps.map((a) => a.name), events })
    )
  ])
  const parts = settled.flatMap((s) => (s.status === 'fulfilled' ? [s.value] : []))
  const failed = settled.find((s) => s.status === 'rejected')
  if (failed !== undefined) {
    await Promise.all(parts.map((p) => p.server.stop()))
    throw failed.reason instanceof Error ? failed.reason : new StartError(String(failed.reason))
  }
  const [mongod, nats, redis] = parts.map((p) => p.server.port) as [number, number, number]
  const urls = {
    mongo: mongoUrl(mongod, 'root', secrets.mongoRoot),
    nats: `nats://127.0.0.1:${nats}`,
    redis: `redis://admin:${secrets.redisAdmin}@127.0.0.1:${redis}`
  }

  return {
    parts,
    secrets,
    ports: { mongod, nats, redis },
    urls,
    envFor(app) {
      const password = secrets.apps[app]
      if (password === undefined) throw new Error(`${app} is not an app of these stores`)
      const database = databases[app]
      return {
        NATS_URL: urls.nats,
        NATS_USER: app,
        NATS_PASSWORD: password,
        REDIS_URL: `redis://${app}:${password}@127.0.0.1:${redis}`,
        REDIS_PREFIX: `${app}:`,
        ...(database === undefined ? {} : { MONGO_URL: mongoUrl(mongod, app, password), MONGO_DATABASE: database }),
        ...(app === 'auth' ? { AUTH_SIGNING_KEY: JSON.stringify(secrets.authSigningKey) } : {})
      }
    },
    async stop() {
      await Promise.all(parts.map((p) => p.server.stop()))
    }
  }
}
