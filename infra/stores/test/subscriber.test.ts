import { AckPolicy } from '@nats-io/jetstream'
import { PermissionViolationError } from '@nats-io/transport-node'
import t, { type Test } from 'tap'
import { start, temporaryHome } from './support/home.ts'
import { connectAs } from './support/nats.ts'

const stores = await start(t, await temporaryHome(t))
const content = await connectAs(t, stores, 'content')
const users = await connectAs(t, stores, 'users')
const subscriber = await connectAs(t, stores, 'subscriber')
await content.jsm.streams.add({ name: 'content', subjects: ['content.>'], allow_direct: true })
await content.jsm.streams.add({ name: 'dlq_content', subjects: ['dlq.content.>'] })
await users.jsm.streams.add({ name: 'users', subjects: ['users.>'] })
await content.jsm.consumers.add('users', { durable_name: 'content--people', ack_policy: AckPolicy.Explicit })
const own = { durable_name: 'subscriber', ack_policy: AckPolicy.Explicit }
const refused = (t: Test, work: Promise<unknown>, what: string) =>
  t.rejects(work, { message: /^Permissions Violation for Publish/ }, what)

t.test('a subscriber reads the events of services, by one durable of its name, from where it was', async (t) => {
  await content.js.publish('content.post.created.v1', 'one')
  await content.js.publish('content.post.deleted.v1', 'other')
  await content.js.publish('content.post.created.v1', 'two')
  await subscriber.jsm.consumers.add('content', { ...own, filter_subject: 'content.post.created.v1' })
  const consumer = await subscriber.js.consumers.get('content', 'subscriber')
  const first = await consumer.next({ expires: 60_000 })
  t.equal(first?.string(), 'one')
  t.equal(await first?.ackAck(), true)
  t.equal((await consumer.next({ expires: 60_000 }))?.string(), 'two')
  await subscriber.jsm.consumers.reset('content', 'subscriber')
  t.equal((await consumer.next({ expires: 60_000 }))?.string(), 'two', 'what was not acknowledged comes again')
  t.equal(await subscriber.jsm.consumers.delete('content', 'subscriber'), true)
  await subscriber.jsm.consumers.add('users', {
    ...own,
    filter_subjects: ['users.profile.created.v1', 'users.profile.updated.v1']
  })
})

t.test('and nothing else', async (t) => {
  const { js, jsm, kvm, nc } = subscriber
  await refused(t, js.publish('content.post.created.v1', 'forged'), 'an event')
  await refused(t, js.publish('subscriber.thing', 'x'), 'not even under its name')
  await refused(t, js.publish('dlq.content.x', 'forged'), 'a dead letter')
  await refused(t, jsm.consumers.add('content', { ...own, durable_name: 'other' }), 'a consumer of another name')
  await refused(t, jsm.consumers.delete('users', 'content--people'), 'the consumer of a service')
  await refused(t, jsm.consumers.reset('users', 'content--people'), 'its position')
  await refused(t, jsm.consumers.add('dlq_content', own), 'dead letters')
  await refused(t, jsm.direct.getMessage('content', { seq: 1 }), 'a message without a consumer')
  await refused(t, jsm.streams.add({ name: 'subscriber', subjects: ['subscriber.>'] }), 'a stream')
  await refused(t, jsm.streams.delete('content'), 'the end of a stream')
  await refused(t, jsm.streams.purge('content'), 'an empty stream')
  await refused(t, kvm.create('identity', {}), 'a bucket')
  for (const subject of ['content.>', 'content.post.created.v1', 'dlq.>', '_INBOX_content.>', '$KV.>', '$JS.>', '>']) {
    const spy = nc.subscribe(subject)
    const listening = async () => {
      for await (const _ of spy) break
    }
    await t.rejects(listening(), PermissionViolationError, subject)
  }
})
