import { jetstream, jetstreamManager } from '@nats-io/jetstream'
import { connect } from '@nats-io/transport-node'
import { useStores } from '@skerry/testing'
import t from 'tap'
import { fromHeaders, toHeaders } from '../src/index.ts'

const envelope = {
  id: 'e1',
  subject: 'content.test.counted.v1',
  entity: 'a',
  orderKey: 'b',
  time: '2026-01-31T09:30:00.000Z',
  traceparent: undefined
}

t.test('what was published is an event; a copy that the server sends to another subject is none', async (t) => {
  const { nats } = await useStores(t)
  const nc = await connect({ servers: nats.url, user: nats.user, pass: nats.password })
  t.teardown(() => nc.close())
  const jsm = await jetstreamManager(nc)
  const js = jetstream(nc)
  for (const name of ['content', 'users']) await jsm.streams.add({ name, subjects: [`${name}.>`], allow_direct: true })
  const { seq } = await js.publish(envelope.subject, '{}', { headers: toHeaders('content', envelope) })
  const published = await jsm.streams.getMessage('content', { seq })
  t.same(fromHeaders(envelope.subject, published?.header), envelope)

  const forged = 'users.test.counted.v1'
  const arrived = nc.subscribe(forged, { max: 1 })
  nc.publish('$JS.API.DIRECT.GET.content', JSON.stringify({ seq }), { reply: forged })
  for await (const message of arrived) {
    t.equal(message.headers?.get('ce-id'), 'e1', 'it has all that an event has')
    t.equal(fromHeaders(forged, message.headers), undefined)
  }
})

t.test('an event of a release before order keys is in the order of its entity', async (t) => {
  const headers = toHeaders('content', { ...envelope, orderKey: undefined })
  t.notOk(headers.has('ce-partitionkey'))
  t.same(fromHeaders(envelope.subject, headers), { ...envelope, orderKey: 'a' })
})

t.test('a message without an id or an entity is none', async (t) => {
  for (const name of ['ce-id', 'ce-subject']) {
    const headers = toHeaders('content', envelope)
    headers.delete(name)
    t.equal(fromHeaders(envelope.subject, headers), undefined, name)
  }
  t.equal(fromHeaders(envelope.subject, undefined), undefined)
})
