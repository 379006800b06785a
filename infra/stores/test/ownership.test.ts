import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { AckPolicy } from '@nats-io/jetstream'
import { headers, type NatsConnection } from '@nats-io/transport-node'
import { Redis } from 'ioredis'
import { MongoClient } from 'mongodb'
import t, { type Test } from 'tap'
import type { StoreApp } from '../src/index.ts'
import { APPS, start, temporaryHome, until } from './support/home.ts'
import { connectAs } from './support/nats.ts'

const TEMPLATE = resolve(import.meta.dirname, '../../../packages/cli/templates/service/package.json.tmpl')
/** What `./skerry new service` would write, beside the apps that there are, under a name that none has. */
const generated = JSON.parse((await readFile(TEMPLATE, 'utf8')).replaceAll('{{name}}', 'ownershelf')).skerry
const apps: StoreApp[] = [...APPS, { name: 'ownershelf', ...generated }]
apps.push({ name: 'ownerarchive', kind: 'service', database: 'skerry_ownerarchive', consumers: { everything: ['*'] } })
const services = apps.filter((app) => app.kind === 'service')
const stores = await start(t, await temporaryHome(t), { apps })

type Row = { stream: string; durable: string }
/** The consumers that an app declares. */
const consumersOf = ({ name, consumers = {}, readModels = {} }: StoreApp): Row[] =>
  Object.entries({ jobs: [name], ...consumers, ...readModels }).flatMap(([purpose, streams]) =>
    (streams.includes('*') ? services.map((service) => service.name) : streams).map((stream) => ({
      stream,
      durable: `${name}--${purpose}`
    }))
  )
const others = (app: StoreApp) => services.filter((other) => other.name !== app.name)
const apis = new Map(
  await Promise.all(services.map(async (app) => [app.name, await connectAs(t, stores, app.name)] as const))
)
const apiOf = (name: string) => apis.get(name)!

/** Sends what a client could send by itself, without a library that would look first. */
async function refused(t: Test, nc: NatsConnection, subject: string, body = '{}'): Promise<void> {
  await t.rejects(
    nc.request(subject, body, { timeout: 30_000 }),
    { message: /^Permissions Violation for Publish/ },
    subject
  )
}

t.test('every service has its streams, and its declared consumers on those of others', async (t) => {
  for (const { name } of services) {
    const { js, jsm, kvm } = apiOf(name)
    await jsm.streams.add({ name, subjects: [`${name}.>`], allow_direct: true })
    await jsm.streams.add({ name: `dlq_${name}`, subjects: [`dlq.${name}.>`] })
    await (await kvm.create('registry', { ttl: 4_000, markerTTL: 60_000 })).put(`${name}.1`, '{}')
    t.equal((await js.publish(`${name}.thing.made.v1`, 'event')).stream, name)
  }
  for (const app of services) {
    const { js, jsm } = apiOf(app.name)
    for (const { stream, durable } of consumersOf(app)) {
      const filter_subjects = [`${stream}.thing.made.v1`, `${stream}.thing.gone.v1`]
      await jsm.consumers.add(stream, { durable_name: durable, filter_subjects, ack_policy: AckPolicy.Explicit })
      await jsm.consumers.update(stream, durable, { filter_subjects: filter_subjects.slice(0, 1) })
      await jsm.consumers.reset(stream, durable)
      const message = await (await js.consumers.get(stream, durable)).next({ expires: 60_000 })
      t.equal(await message?.ackAck(), true, `${durable} on ${stream}`)
    }
  }
})

t.test('NATS: no service speaks, answers or acknowledges for another', async (t) => {
  for (const app of services) {
    const { nc } = apiOf(app.name)
    for (const other of others(app)) {
      for (const subject of [
        `${other.name}.thing.made.v1`,
        `dlq.${other.name}.x`,
        `$KV.registry.${other.name}.1`,
        `ops.${other.name}.posts.retry`,
        ...['CREATE', 'UPDATE', 'DELETE', 'PURGE'].map((what) => `$JS.API.STREAM.${what}.${other.name}`),
        `$JS.API.STREAM.MSG.GET.${other.name}`,
        `$JS.API.STREAM.MSG.DELETE.${other.name}`,
        `$JS.API.DIRECT.GET.${other.name}`,
        `$JS.API.DIRECT.GET.${other.name}.${other.name}.thing.made.v1`,
        `_INBOX_${other.name}.x`
      ])
        await refused(t, nc, subject)
      for (const { stream, durable } of consumersOf(other)) {
        for (const what of ['CREATE', 'DURABLE.CREATE', 'INFO', 'DELETE', 'RESET', 'PAUSE', 'UNPIN', 'MSG.NEXT'])
          await refused(t, nc, `$JS.API.CONSUMER.${what}.${stream}.${durable}`)
        await refused(t, nc, `$JS.ACK.${stream}.${durable}.1.1.1.1.0`)
      }
    }
  }
})

t.test(
  'NATS: a service reads no stream that it does not declare, and works on no consumer without its name',
  async (t) => {
    for (const app of services) {
      const { nc, jsm } = apiOf(app.name)
      const declared = new Set(consumersOf(app).map(({ stream }) => stream))
      for (const { name: stream } of services) {
        const purpose = declared.has(stream) ? 'undeclared' : Object.keys(app.consumers ?? {})[0]!
        await refused(t, nc, `$JS.API.CONSUMER.CREATE.${stream}.${app.name}--${purpose}`)
        await refused(t, nc, `$JS.API.CONSUMER.CREATE.${stream}`)
        await refused(t, nc, `$JS.API.CONSUMER.DURABLE.CREATE.${stream}.${app.name}--${purpose}`)
        await refused(t, nc, `$JS.API.CONSUMER.NAMES.${stream}`)
        await refused(t, nc, `$JS.API.CONSUMER.LIST.${stream}`)
      }
      await t.rejects(jsm.streams.list().next(), /Permissions Violation/)
      for (const subject of [
        '>',
        'dlq.>',
        '$JS.>',
        '$KV.>',
        '_INBOX.>',
        ...others(app).map(({ name }) => `${name}.>`)
      ]) {
        const spy = nc.subscribe(subject)
        const listening = async () => {
          for await (const _ of spy) break
        }
        await t.rejects(listening(), /Permissions Violation for Subscription/, subject)
      }
    }
  }
)

t.test('NATS: no stream can be made to speak for another', async (t) => {
  const { nc } = apiOf('ownershelf')
  // Sends on what it stores; renames it; copies what another one has.
  for (const change of [
    { republish: { src: 'ownershelf.>', dest: 'users.>' } },
    { subject_transform: { src: 'ownershelf.>', dest: 'users.>' } },
    { sources: [{ name: 'users' }] }
  ]) {
    const config = JSON.stringify({ name: 'ownershelf', subjects: ['ownershelf.>'], allow_direct: true, ...change })
    await refused(t, nc, '$JS.API.STREAM.UPDATE.ownershelf', config)
    const create = await nc.request('$JS.API.STREAM.CREATE.ownershelf', config, { timeout: 30_000 })
    const again = create.json<{ error?: { code: number } }>()
    t.equal(again.error?.code, 400, 'nor by making it again')
  }
  // What is asked for may be sent to any subject: so a service can ask for nothing that it has written itself.
  const { state: before } = await apiOf('users').jsm.streams.info('users')
  const forged = headers()
  forged.set('ce-id', 'forged')
  const { js } = apiOf('ownershelf')
  const { seq } = await js.publish('ownershelf.thing.made.v1', '{}', { headers: forged })
  await js.publish('$KV.registry.ownershelf.1', '{}', { headers: forged })
  const reply = 'users.profile.updated.v1'
  const push = {
    name: 'ownershelf--push',
    durable_name: 'ownershelf--push',
    deliver_subject: reply,
    ack_policy: 'none'
  }
  for (const [subject, body] of [
    ['$JS.API.DIRECT.GET.ownershelf', { seq }],
    ['$JS.API.DIRECT.GET.KV_registry.$KV.registry.ownershelf.1', {}],
    ['$JS.API.CONSUMER.CREATE.ownershelf.ownershelf--push', { stream_name: 'ownershelf', config: push }]
  ] as const)
    await refused(t, nc, subject, JSON.stringify(body))
  // The same inside JSON, which is no event; a pull keeps the subject that was published.
  nc.publish('$JS.API.STREAM.MSG.GET.ownershelf', JSON.stringify({ seq }), { reply })
  nc.publish('$JS.API.CONSUMER.MSG.NEXT.ownershelf.ownershelf--jobs', JSON.stringify({ batch: 1 }), { reply })
  await nc.flush()
  const { jsm, nc: listening } = apiOf('users')
  await until(async () => (await jsm.streams.info('users')).state.messages > before.messages, 'what was asked for came')
  // Delivered where somebody listens, by a consumer of its own name: it keeps the subject that was published, too.
  const heard = listening.subscribe(reply, { max: 1 })
  await listening.flush()
  await apiOf('ownershelf').jsm.consumers.delete('ownershelf', 'ownershelf--jobs')
  const named = { stream_name: 'ownershelf', config: { ...push, name: undefined, durable_name: 'ownershelf--jobs' } }
  const subject = '$JS.API.CONSUMER.CREATE.ownershelf.ownershelf--jobs'
  const made = await nc.request(subject, JSON.stringify(named), { timeout: 30_000 })
  t.equal(made.json<{ error?: object }>().error, undefined)
  for await (const message of heard) t.equal(message.subject, 'ownershelf.thing.made.v1')
  await nc.request('$JS.API.INFO', '', { timeout: 30_000 })
  const { state } = await jsm.streams.info('users')
  const forgeries: string[] = []
  for (let at = before.last_seq + 1; at <= state.last_seq; at++) {
    const message = await jsm.streams.getMessage('users', { seq: at })
    if (message?.subject === reply && message.header.has('ce-id')) forgeries.push(message.string())
  }
  t.same(forgeries, [])
})

t.test('MongoDB: every service sees its own database and no other', async (t) => {
  for (const app of services) {
    const client = new MongoClient(stores.envFor(app.name).MONGO_URL!)
    t.teardown(() => client.close())
    await client.db(app.database).collection('things').insertOne({})
    const databases = [...others(app).map(({ database }) => database!), 'admin', 'local', 'config']
    for (const name of databases) {
      const things = client.db(name).collection('things')
      const attempts: Record<string, () => Promise<unknown>> = {
        read: () => things.findOne(),
        write: () => things.insertOne({}),
        watch: () => things.watch().next(),
        list: () => client.db(name).listCollections().toArray(),
        drop: () => client.db(name).dropDatabase()
      }
      for (const [what, attempt] of Object.entries(attempts))
        await t.rejects(attempt(), /not authorized/, `${app.name}: ${what} ${name}`)
    }
    const { databases: seen } = await client.db('admin').command({ listDatabases: 1, nameOnly: true })
    t.same(
      seen.map(({ name }: { name: string }) => name),
      [app.database]
    )
    await t.rejects(client.db('admin').command({ usersInfo: 1 }), /not authorized/)
    await t.rejects(client.db(app.database).command({ createUser: 'x', pwd: 'x', roles: [] }), /not authorized/)
  }
})

t.test('Redis: every app sees the keys and channels of its prefix and no other', async (t) => {
  for (const app of apps) {
    const redis = new Redis(stores.envFor(app.name).REDIS_URL!, { maxRetriesPerRequest: 1, retryStrategy: () => null })
    t.teardown(async () => redis.disconnect())
    await redis.set(`${app.name}:a`, '1')
    for (const { name } of apps.filter((other) => other.name !== app.name)) {
      for (const [command, ...args] of [
        ['GET', `${name}:a`],
        ['SET', `${name}:a`, '2'],
        ['DEL', `${name}:a`],
        ['PUBLISH', `${name}:x`, '1'],
        ['SUBSCRIBE', `${name}:x`],
        ['COPY', `${app.name}:a`, `${name}:a`],
        ['EVAL', "return redis.call('GET', KEYS[1])", '1', `${name}:a`]
      ] as [string, ...string[]][])
        await t.rejects(redis.call(command, ...args), /NOPERM|No permissions/, `${app.name}: ${command} ${name}`)
    }
    for (const text of ['FLUSHALL', 'KEYS *', 'SCAN 0', 'ACL LIST', 'CONFIG GET *', 'MONITOR']) {
      const [command, ...args] = text.split(' ') as [string, ...string[]]
      await t.rejects(redis.call(command, ...args), /NOPERM|No permissions/, `${app.name}: ${text}`)
    }
  }
})
