import { randomBytes } from 'node:crypto'
import { mkdir, rm } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import type { Stores } from '@skerry/stores'
import { makeDataFolder } from './data-folder.ts'
import { loadMongo, loadStores } from './load.ts'

/** Where a test run's shared stores are, as the runner puts it into SKERRY_TEST_STORES (JSON). */
export type SharedStores = {
  mongoUrl: string
  natsUrl: string
  redisUrl: string
  natsAccounts: number
  /** Folder in which each test file claims a NATS account by making a folder. */
  claims: string
}

export type NatsAccount = { readonly url: string; readonly user: string; readonly password: string }

/** The stores as one test file sees them: real servers, its own names. */
export type TestStores = {
  readonly mongoUrl: string
  /** A database of this file alone, dropped at its end. */
  database(name: string): string
  /** An account of this file alone: its streams and KV buckets are nobody else's. */
  readonly nats: NatsAccount
  /** A further account, for a test that goes on beside others of its file. */
  anotherAccount(): Promise<NatsAccount>
  readonly redis: { readonly url: string; readonly prefix: string }
  /** The environment an app would get. */
  envFor(app: string): Record<string, string>
}

type Tap = { teardown(work: () => Promise<void>): unknown }

const REPOSITORY = resolve(import.meta.dirname, '../../..')

/** How many NATS accounts shared stores are given: one for each test file, with room. */
export const TEST_ACCOUNTS = 320

/**
 * Real stores for one test file. Uses those of the run (`npm test`); a file that is run alone starts its own and stops them at its end.
 *
 * @param t the test whose end drops what was made
 */
export async function useStores(t: Tap): Promise<TestStores> {
  const given = process.env.SKERRY_TEST_STORES
  const own = given === undefined ? await startOwn() : undefined
  const shared: SharedStores = own?.shared ?? JSON.parse(given ?? '')
  const anotherAccount = async () => {
    const account = await claim(shared)
    return { url: shared.natsUrl, user: account, password: account }
  }
  const nats = await anotherAccount()
  const tag = `t${randomBytes(4).toString('hex')}`
  const databases = new Set<string>()
  const database = (name: string) => {
    const full = `${tag}_${name}`
    databases.add(full)
    return full
  }
  t.teardown(async () => {
    if (databases.size > 0) await drop(shared.mongoUrl, databases)
    await own?.stop()
  })
  return {
    mongoUrl: shared.mongoUrl,
    database,
    nats,
    anotherAccount,
    redis: { url: shared.redisUrl, prefix: `${tag}:` },
    envFor: (app) => ({
      MONGO_URL: shared.mongoUrl,
      MONGO_DATABASE: database(app),
      NATS_URL: nats.url,
      NATS_USER: nats.user,
      NATS_PASSWORD: nats.password,
      REDIS_URL: shared.redisUrl,
      REDIS_PREFIX: `${tag}:${app}:`
    })
  }
}

async function drop(url: string, databases: Iterable<string>): Promise<void> {
  const { MongoClient } = await loadMongo()
  const client = new MongoClient(url)
  try {
    for (const name of databases) await client.db(name).dropDatabase()
  } finally {
    await client.close()
  }
}

/** Starts stores for tests in a temporary home; binaries come from the cache of SKERRY_BIN or of the checkout. */
export async function startTestStores(
  say: (line: string) => void
): Promise<{ shared: SharedStores; stores: Stores; stop(): Promise<void> }> {
  const home = await makeDataFolder('skerry-test-')
  const claims = join(home, 'claims')
  await mkdir(claims)
  try {
    const { startStores } = await loadStores()
    const stores = await startStores({
      home,
      binDir: binCache(),
      apps: [{ name: 'test', kind: 'service' }],
      say,
      testAccounts: TEST_ACCOUNTS
    })
    const { mongo: mongoUrl, nats: natsUrl, redis: redisUrl } = stores.urls
    return {
      shared: { mongoUrl, natsUrl, redisUrl, natsAccounts: TEST_ACCOUNTS, claims },
      stores,
      async stop() {
        await stores.stop()
        await rm(home, { recursive: true, force: true })
      }
    }
  } catch (error) {
    await rm(home, { recursive: true, force: true })
    throw error
  }
}

/** The cache of store binaries that tests share, so that nothing is fetched twice. */
export function binCache(): string {
  return process.env.SKERRY_BIN ?? join(process.env.SKERRY_HOME ?? join(REPOSITORY, '.skerry'), 'bin')
}

/**
 * What a child process of a test gets when it does not inherit the whole environment: where programs are, and what earlier processes compiled.
 * Without the latter an app compiles its sources and all its modules anew, and takes twice as long to start.
 */
export function childEnv(): { PATH: string; NODE_COMPILE_CACHE: string } {
  const { PATH = '', NODE_COMPILE_CACHE = join(binCache(), '../cache/node') } = process.env
  return { PATH, NODE_COMPILE_CACHE }
}

function startOwn() {
  return startTestStores((line) => process.stderr.write(`# ${line}\n`))
}

/** Making a folder either succeeds or says that somebody was quicker: a lock without a server. */
async function claim(shared: SharedStores): Promise<string> {
  for (let i = 0; i < shared.natsAccounts; i++) {
    const name = `test${i}`
    try {
      await mkdir(join(shared.claims, name))
      return name
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    }
  }
  throw new Error(`all ${shared.natsAccounts} NATS accounts are in use: raise TEST_ACCOUNTS in packages/testing`)
}
