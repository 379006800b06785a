import { AckPolicy, jetstream } from '@nats-io/jetstream'
import { Kvm } from '@nats-io/kv'
import { connect, PermissionViolationError } from '@nats-io/transport-node'
import t, { type Test } from 'tap'
import { start, temporaryHome, until } from './support/home.ts'
import { connectAs } from './support/nats.ts'

const stores = await start(t, await temporaryHome(t))
const users = await connectAs(t, stores, 'users')
const content = await connectAs(t, stores, 'content')
const auth = await connectAs(t, stores, 'auth')
const realtime = await connectAs(t, stores, 'realtime')
const gateway = await connectAs(t, stores, 'gateway')

const refused = (t: Test, work: Promise<unknown>, what: string) =>
  t.rejects(work, { message: /^Permissions Violation for Publish/ }, what)

t.test('a service makes its streams, publishes its subjects, and reads what it declares of others', async (t) => {
  for (const { js, jsm, name } of [
    { ...users, name: 'users' },
    { ...content, name: 'content' }
  ]) {
    await jsm.streams.add({ name, subjects: [`${name}.>`], allow_direct: true })
    await jsm.streams.add({ name: `dlq_${name}`, subjects: [`dlq.${name}.>`] })
    t.match(await js.publish(`${name}.thing.u1`, 'event', { msgID: 'e1' }), { stream: name, seq: 1 })
    t.match(await js.publish(`dlq.${name}.x`, 'dead'), { stream: `dlq_${name}` })
  }
  await content.jsm.consumers.add('users', { durable_name: 'content--people', ack_policy: AckPolicy.Explicit })
  const consumer = await content.js.consumers.get('users', 'content--people')
  const message = await consumer.next({ expires: 60_000 })
  t.equal(message?.string(), 'event')
  t.equal(await message?.ackAck(), true, 'and acknowledges them')
  await content.jsm.consumers.reset('users', 'content--people')
  await content.jsm.consumers.add('users', { durable_name: 'content--people--p7', ack_policy: AckPolicy.Explicit })
  await refused(
    t,
    content.jsm.consumers.add('users', { durable_name: 'content--people--p8', ack_policy: AckPolicy.Explicit }),
    'a partition that no stream has'
  )
})

t.test('the registry and the identities', async (t) => {
  // Longer than the services have it: here no key ends by itself, however busy the machine is.
  const registry = await users.kvm.create('registry', { ttl: 600_000, markerTTL: 600_000 })
  await auth.kvm.create('identity', { markerTTL: 60_000 })
  const ofContent = await content.kvm.open('registry')
  const seen: string[] = []
  const watch = await (await gateway.kvm.open('registry')).watch()
  t.teardown(async () => watch.stop())
  const reading = (async () => {
    for await (const entry of watch) seen.push(`${entry.operation} ${entry.key}`)
  })()

  await registry.put('users.1', '{}')
  await ofContent.put('content.1', '{}')
  await until(() => seen.length === 2, 'the gateway saw both')
  await registry.purge('users.1')
  await until(() => seen.length === 3, 'the gateway saw the end')
  t.same(seen, ['PUT users.1', 'PUT content.1', 'PURGE users.1'])
  await refused(t, ofContent.put('users.1', '{}'), "another's key")
  await refused(t, ofContent.purge('users.1'), "the end of another's key")
  await refused(t, (await gateway.kvm.open('registry')).put('users.1', '{}'), 'any key by the gateway')

  const identity = await auth.kvm.open('identity')
  await identity.put('jwks', '{"keys":[]}')
  await identity.put('revoked.s1', '{}')
  t.equal((await (await gateway.kvm.open('identity')).get('jwks'))?.string(), '{"keys":[]}')
  t.equal((await (await content.kvm.open('identity')).get('jwks'))?.string(), '{"keys":[]}')
  await refused(t, (await content.kvm.open('identity')).put('jwks', 'forged'), 'keys by another than auth')
  await refused(t, (await gateway.kvm.open('identity')).put('revoked.s1', ''), 'a revocation by the gateway')
  watch.stop()
  await reading
})

t.test('a service declares for itself alone that it takes part in erasures', async (t) => {
  const bucket = await users.kvm.create('participants', {})
  await bucket.put('users', '{}')
  await (await content.kvm.open('participants')).put('content', '{}')
  t.equal((await (await auth.kvm.open('participants')).get('content'))?.string(), '{}', 'auth reads who does')
  await refused(t, (await content.kvm.open('participants')).put('users', '{}'), 'for another')
  await refused(t, (await content.kvm.open('participants')).delete('users'), 'that another does not')
  await refused(t, (await gateway.kvm.open('participants')).put('users', '{}'), 'by the gateway')
})

t.test('how requests are spread over versions is the administrator’s to say', async (t) => {
  const rules = await gateway.kvm.create('traffic', {})
  const admin = await connect({
    servers: stores.urls.nats,
    user: 'admin',
    pass: stores.secrets.natsAdmin,
    inboxPrefix: '_INBOX_admin'
  })
  t.teardown(() => admin.close())
  const seen: string[] = []
  const watch = await rules.watch()
  t.teardown(async () => watch.stop())
  const reading = (async () => {
    for await (const entry of watch) seen.push(`${entry.operation} ${entry.key}`)
  })()
  const own = await new Kvm(jetstream(admin)).open('traffic')
  await own.put('content', '{"weights":{"2.1.0":5}}')
  // Seen before the end of it is said: a bucket keeps, and a watcher is owed, the last of each key alone.
  await until(() => seen.length === 1, 'the gateway saw the rules')
  await own.delete('content')
  await until(() => seen.length === 2, 'the gateway saw their end')
  t.same(seen, ['PUT content', 'DEL content'])
  await refused(t, rules.put('content', '{}'), 'rules by a gateway')
  await refused(t, rules.delete('content'), 'the end of rules by a gateway')
  const ofContent = await content.kvm.open('traffic')
  await refused(t, ofContent.put('content', '{}'), 'rules by the service itself')
  await refused(t, ofContent.purge('users'), "the end of another's rules")
  for (const { jsm } of [gateway, content]) {
    await refused(t, jsm.streams.delete('KV_traffic'), 'the end of the bucket')
    await refused(t, jsm.streams.purge('KV_traffic'), 'an empty bucket')
  }
  watch.stop()
  await reading
})

t.test('the gateway publishes nothing and makes no streams', async (t) => {
  await refused(t, gateway.js.publish('users.thing.u1', 'forged'), 'an event')
  await refused(t, gateway.js.publish('gateway.thing', 'own'), 'not even its own')
  await refused(t, gateway.jsm.streams.add({ name: 'gateway', subjects: ['gateway.>'] }), 'a stream')
  await refused(
    t,
    gateway.jsm.consumers.add('users', { durable_name: 'gateway--x', ack_policy: AckPolicy.Explicit }),
    'a consumer of events'
  )
})

t.test('the gateway hears events as they are published, and nothing else', async (t) => {
  const heard = gateway.nc.subscribe('users.profile.updated.*', { max: 1 })
  await gateway.nc.flush()
  await users.js.publish('users.profile.updated.v1', '{"userId":"u1"}')
  for await (const message of heard) t.equal(message.string(), '{"userId":"u1"}')
  const partitioned = gateway.nc.subscribe('users.profile.updated.*.*', { max: 1 })
  await gateway.nc.flush()
  await users.js.publish('users.profile.updated.v1.5', '{"userId":"u2"}')
  for await (const message of partitioned) t.equal(message.string(), '{"userId":"u2"}')

  for (const subject of ['users.>', 'users.*', '>', '*.*.*.*', 'dlq.users.>', 'live.>', 'rt.>', '$KV.identity.>']) {
    const spy = gateway.nc.subscribe(subject)
    const listening = async () => {
      for await (const _ of spy) break
    }
    await t.rejects(listening(), PermissionViolationError, subject)
  }
})

t.test('an inbox belongs to its user', async (t) => {
  const spy = content.nc.subscribe('_INBOX_auth.>')
  await t.rejects(
    (async () => {
      for await (const _ of spy) break
    })(),
    PermissionViolationError
  )
})

t.test('realtime has its log, whose messages the server sends on', async (t) => {
  await realtime.jsm.streams.add({
    name: 'live',
    subjects: ['live.>'],
    allow_direct: true,
    republish: { src: 'live.>', dest: 'rt.>' }
  })
  const sent = realtime.nc.subscribe('rt.>', { max: 1 })
  await realtime.nc.flush()
  await realtime.js.publish('live.u1', 'hello')
  const subjects: string[] = []
  for await (const message of sent) subjects.push(`${message.subject} ${message.string()}`)
  t.same(subjects, ['rt.u1 hello'])
  await realtime.jsm.streams.update('live', { max_msgs_per_subject: 5 })
  const batch = await realtime.jsm.direct.getBatch('live', { seq: 1, batch: 10, next_by_subj: 'live.u1' })
  const read: string[] = []
  for await (const message of batch) read.push(message.string())
  t.same(read, ['hello'], 'and it is read without a consumer')
  await refused(t, realtime.js.publish('rt.u1', 'x'), 'past the log')
})

t.test('nobody gets in without a password', async (t) => {
  const servers = stores.urls.nats
  await t.rejects(connect({ servers, reconnect: false }), /[Aa]uthori/)
  await t.rejects(connect({ servers, user: 'users', pass: 'wrong', reconnect: false }), /[Aa]uthori/)
})
