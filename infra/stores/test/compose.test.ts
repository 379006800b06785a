import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, readFile, stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { parseEnv, promisify } from 'node:util'
import { MongoClient } from 'mongodb'
import t from 'tap'
import { writeConfig } from '../src/compose/config.ts'
import { prepareMongo } from '../src/compose/mongo.ts'
import { findApps, findBinary, freePort, MONGOD, NATS_SERVER } from '../src/index.ts'
import { MONGOD_PARAMETERS } from '../src/mongod.ts'
import { CACHE_SETTINGS } from '../src/redis.ts'
import { APPS, BIN, temporaryHome, until } from './support/home.ts'

const REPOSITORY = resolve(import.meta.dirname, '../../..')
const quiet = () => undefined

t.test('docker-compose.yml has a container for each app, which sees its own configuration only', async (t) => {
  const text = await readFile(join(REPOSITORY, 'docker-compose.yml'), 'utf8')
  const containers = [...text.matchAll(/APP: "@skerry\/(\w+)"/g)].map(([, name]) => name).filter((n) => n !== 'stores')
  const apps = findApps(join(REPOSITORY, 'apps'))
  t.same(containers.sort(), apps.map((app) => app.name).sort())
  for (const { name, kind } of apps) {
    const section = text.split(`\n  ${name}:\n`)[1]?.split('\n\n')[0] ?? ''
    t.match(section, `APP: "@skerry/${name}"`)
    t.match(section, `subpath: ${name} }`)
    if (kind === 'service') t.match(section, 'replicas: 2 }')
    // The one that all depend on: another process is there when it dies.
    else t.match(section, /^ {4}environment: \{.*\bSPARE: "true"/m, 'the gateway keeps a spare')
  }
})

t.test('stores in containers are set as those of npm start', async (t) => {
  const text = await readFile(join(REPOSITORY, 'docker-compose.yml'), 'utf8')
  const argumentsOf = (name: string) =>
    [
      ...text
        .split(`\n  ${name}:\n`)[1]!
        .split('\n\n')[0]!
        .matchAll(/^ {6}- (.+)$/gm)
    ].map(([, one]) => one)
  const mongo = argumentsOf('mongo')
  t.same(
    mongo.filter((_, i) => mongo[i - 1] === '--setParameter'),
    MONGOD_PARAMETERS
  )
  const redis = argumentsOf('redis')
  for (const [name, value] of Object.entries(CACHE_SETTINGS))
    t.equal(redis[redis.indexOf(`--${name}`) + 1]?.replace(/^"no"$/, 'no'), value, name)
})

t.test('each container is given its own credentials and no others', async (t) => {
  const folder = await temporaryHome(t)
  const secrets = await writeConfig(folder, APPS)
  for (const { name, database } of APPS) {
    const text = await readFile(join(folder, name, 'env'), 'utf8')
    const env = parseEnv(text)
    for (const other of APPS) t.equal(text.includes(secrets.apps[other.name]!), other.name === name)
    t.equal(env.MONGO_DATABASE, database)
    t.equal(env.NATS_PASSWORD, secrets.apps[name])
    t.same(JSON.parse(env.AUTH_SIGNING_KEY ?? 'null'), name === 'auth' ? secrets.authSigningKey : null)
  }
  t.equal((await stat(join(folder, 'mongo', 'key'))).mode & 0o777, 0o600)
  t.match(await readFile(join(folder, 'redis', 'redis.acl'), 'utf8'), /^user users on >\S+ ~users:\* &users:\* /m)
  t.same(await writeConfig(folder, APPS), secrets, 'which stay')

  const { path } = await findBinary(NATS_SERVER, BIN, quiet)
  await t.resolves(promisify(execFile)(path, ['-t', '-c', join(folder, 'nats', 'nats.json')]), 'NATS takes its file')
})

t.test('a mongod with a root user only becomes the replica set with a user for each app', async (t) => {
  const folder = await temporaryHome(t)
  const data = join(folder, 'data')
  await mkdir(data)
  const secrets = await writeConfig(folder, APPS)
  const { path } = await findBinary(MONGOD, BIN, quiet)
  const port = await freePort()
  const run = (...args: string[]) => {
    const base = ['--dbpath', data, '--port', String(port), '--bind_ip', '127.0.0.1', '--unixSocketPrefix', folder]
    return spawn(path, [...base, '--wiredTigerCacheSizeGB', '0.25', ...args], { stdio: 'ignore' })
  }
  // What the official image does at its first start.
  const first = run()
  t.teardown(async () => first.kill('SIGKILL'))
  const client = new MongoClient(`mongodb://127.0.0.1:${port}/?directConnection=true`)
  const root = { createUser: 'root', pwd: secrets.mongoRoot, roles: ['root'] }
  await client.db('admin').command(root)
  await client.close()
  first.kill('SIGTERM')
  await once(first, 'exit')

  const mongod = run('--replSet', 'skerry', '--keyFile', join(folder, 'mongo', 'key'))
  const ended = once(mongod, 'exit')
  t.teardown(async () => {
    mongod.kill('SIGTERM')
    await ended
  })
  for (let i = 0; i < 2; i++) await prepareMongo(`127.0.0.1:${port}`, APPS, secrets)
  const url = parseEnv(await readFile(join(folder, 'users', 'env'), 'utf8')).MONGO_URL!
  const users = new MongoClient(url.replace('mongo:27017', `127.0.0.1:${port}`))
  t.teardown(() => users.close())
  const session = users.startSession()
  await session.withTransaction(() => users.db('skerry_users').collection('x').insertOne({}, { session }))
  await session.endSession()
  await t.rejects(users.db('skerry_auth').collection('x').findOne(), /not authorized/)
  await until(async () => (await users.db('skerry_users').collection('x').countDocuments()) === 1, 'it is there')
})
