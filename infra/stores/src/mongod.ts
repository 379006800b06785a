import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { MongoClient, MongoServerError } from 'mongodb'
import { StartError } from './faults.ts'
import type { Secrets } from './secrets.ts'
import { type Server, type ServerEvents, startServer } from './server.ts'

export type MongoOptions = {
  home: string
  binary: string
  port: number
  secrets: Secrets
  databases: Record<string, string>
  events: ServerEvents
}

export const REPLICA_SET = 'skerry'

/** The URL of a user on the local replica set. */
export function mongoUrl(port: number, user: string, password: string): string {
  return `mongodb://${user}:${password}@127.0.0.1:${port}/?replicaSet=${REPLICA_SET}&authSource=admin`
}

/** How every mongod is set, here and in docker-compose.yml. */
export const MONGOD_PARAMETERS: readonly string[] = [
  'diagnosticDataCollectionEnabled=false',
  'ttlMonitorSleepSecs=60',
  // A client that was killed leaves its transaction open, and whoever wants the same documents waits for its end: 60 s by default.
  'transactionLifetimeLimitSeconds=5'
]

/** Starts mongod as a replica set of one with access control, and makes each app's user, which sees its own database only. */
export async function startMongod(options: MongoOptions): Promise<Server> {
  const { home, port, secrets } = options
  const data = join(home, 'data', 'mongo')
  const keyFile = join(home, 'mongo.key')
  await mkdir(data, { recursive: true })
  await writeFile(keyFile, secrets.mongoKey, { mode: 0o600 })
  const server = await startServer(
    {
      name: 'mongod',
      binary: options.binary,
      port,
      home,
      args: [
        ...[
          '--dbpath',
          data,
          '--port',
          String(port),
          '--bind_ip',
          '127.0.0.1',
          '--replSet',
          REPLICA_SET,
          '--keyFile',
          keyFile
        ],
        ...['--nounixsocket', '--wiredTigerCacheSizeGB', '0.25', '--oplogSize', '990', '--quiet'],
        ...MONGOD_PARAMETERS.flatMap((parameter) => ['--setParameter', parameter])
      ],
      ready: () =>
        withClient(
          `mongodb://127.0.0.1:${port}/?directConnection=true`,
          async (c) => void (await c.db('admin').command({ hello: 1 }))
        )
    },
    options.events
  )
  try {
    if (await initiate(port)) await moveMember(port, secrets)
    await ensureRoot(port, secrets)
    await withClient(mongoUrl(port, 'root', secrets.mongoRoot), (client) => ensureUsers(client, options))
  } catch (error) {
    await server.stop()
    if (error instanceof MongoServerError && error.codeName === 'AuthenticationFailed') {
      throw new StartError(
        `mongod: its data in ${data} has another password than ${join(home, 'secrets.json')}. Restore that file, or delete ${join(home, 'data')} to begin with empty stores.`
      )
    }
    throw error
  }
  return server
}

/** The replica set's first configuration. Resolves with true when it had one before. */
async function initiate(port: number): Promise<boolean> {
  return withClient(directUrl(port), async (client) => {
    try {
      await client
        .db('admin')
        .command({ replSetInitiate: { _id: REPLICA_SET, members: [{ _id: 0, host: `127.0.0.1:${port}` }] } })
      return false
    } catch (error) {
      // Once there are users, only they may ask; that it was initiated is then certain.
      const code = error instanceof MongoServerError ? error.codeName : undefined
      if (code !== 'AlreadyInitialized' && code !== 'Unauthorized') throw error
      return true
    }
  })
}

/** The port may differ from the last start's: the configuration then names a member that isn't there, and nobody would be elected. */
async function moveMember(port: number, secrets: Secrets): Promise<void> {
  await withClient(directUrl(port, `root:${secrets.mongoRoot}@`), async (client) => {
    const admin = client.db('admin')
    const { config } = await admin.command({ replSetGetConfig: 1 })
    const host = `127.0.0.1:${port}`
    if (config.members.length === 1 && config.members[0].host === host) return
    const moved = { ...config, version: config.version + 1, members: [{ ...config.members[0], host }] }
    await admin.command({ replSetReconfig: moved, force: true })
  })
}

function directUrl(port: number, user = ''): string {
  return `mongodb://${user}127.0.0.1:${port}/?directConnection=true&authSource=admin`
}

/** The first user is made through the localhost exception, which ends with it. */
async function ensureRoot(port: number, secrets: Secrets): Promise<void> {
  await withClient(directUrl(port), async (client) => {
    const admin = client.db('admin')
    await retry(async () => {
      const { isWritablePrimary } = await admin.command({ hello: 1 })
      if (!isWritablePrimary) throw new Error('there is no primary yet')
    })
    try {
      await admin.command({ createUser: 'root', pwd: secrets.mongoRoot, roles: ['root'] })
    } catch (error) {
      const code = error instanceof MongoServerError ? error.codeName : undefined
      if (code !== 'Unauthorized' && code !== 'Location51003') throw error
    }
  })
}

/** Makes each app's user, or sets its password and roles anew. */
export async function ensureUsers(
  client: MongoClient,
  options: Pick<MongoOptions, 'secrets' | 'databases'>
): Promise<void> {
  const admin = client.db('admin')
  const { users } = await admin.command({ usersInfo: 1 })
  const known = new Set((users as { user: string }[]).map((u) => u.user))
  for (const [app, database] of Object.entries(options.databases)) {
    const roles = [{ role: 'readWrite', db: database }]
    const pwd = options.secrets.apps[app]
    await admin.command(known.has(app) ? { updateUser: app, pwd, roles } : { createUser: app, pwd, roles })
  }
}

export async function withClient<T>(url: string, work: (client: MongoClient) => Promise<T>): Promise<T> {
  const client = new MongoClient(url, { serverSelectionTimeoutMS: 5_000, connectTimeoutMS: 2_000 })
  try {
    await client.connect()
    return await work(client)
  } finally {
    await client.close()
  }
}

export async function retry(work: () => Promise<void>): Promise<void> {
  const until = Date.now() + 20_000
  for (;;) {
    try {
      return await work()
    } catch (error) {
      if (Date.now() > until) throw error
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  }
}
