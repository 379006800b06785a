import { jetstream, jetstreamManager } from '@nats-io/jetstream'
import { connect } from '@nats-io/transport-node'
import { useStores, waitFor } from '@skerry/testing'
import t from 'tap'
import { startResponder } from '../src/operator/responder.ts'

const stores = await useStores(t)
const { nats } = stores
const silent = { debug() {}, info() {}, warn() {}, error() {} }

t.test('what a service has the server deliver to the subject of operators is no request', async (t) => {
  const nc = await connect({ servers: nats.url, user: nats.user, pass: nats.password })
  t.teardown(() => nc.close())
  const ran: unknown[] = []
  let looks = 0
  const retry = async (request: unknown) => {
    ran.push(request)
    return 'done'
  }
  const responder = startResponder(nc, { service: 'users', topic: 'posts', log: silent, commands: { retry } })
  t.teardown(() => responder.stop())
  responder.onLook(() => looks++)
  await nc.flush()

  // A push consumer of its own stream: the server asks nobody whether its owner may publish where it delivers. What it delivers keeps the
  // subject it was published under, which is chosen so that the command stands where that of a request does.
  const prefix = 'ops.users.posts'
  const subject = `other.${'x'.repeat(prefix.length - 'other.'.length)}.retry`
  const jsm = await jetstreamManager(nc)
  await jsm.streams.add({ name: 'other', subjects: ['other.>'] })
  await jetstream(nc).publish(subject, '{"forged":true}')
  const delivered = nc.subscribe(`${prefix}.look`, { max: 1 })
  await jsm.consumers.add('other', { durable_name: 'other--jobs', deliver_subject: `${prefix}.look` })
  for await (const message of delivered) t.equal(message.subject, subject, 'it was delivered')

  const answer = await nc.request(`${prefix}.retry`, '{"real":true}', { timeout: 30_000 })
  t.same(answer.json(), { ok: true, value: 'done' })
  t.same(ran, [{ real: true }])
  t.equal(looks, 0)
  responder.wake()
  await waitFor(() => looks === 1, { message: 'a wake-up is heard' })
})

t.test('a command that is a member of every object is none', async (t) => {
  const nc = await connect({ servers: nats.url, user: nats.user, pass: nats.password })
  t.teardown(() => nc.close())
  const responder = startResponder(nc, { service: 'users', topic: 'follows', log: silent, commands: {} })
  t.teardown(() => responder.stop())
  for (const name of ['constructor', 'toString', '__proto__']) {
    const answer = await nc.request(`ops.users.follows.${name}`, '{}', { timeout: 30_000 })
    t.match(answer.json(), { ok: false, code: 'BAD_REQUEST' }, name)
  }
})
