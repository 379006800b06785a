import { jetstream, jetstreamManager } from '@nats-io/jetstream'
import { headers } from '@nats-io/transport-node'
import { useStores, waitFor } from '@skerry/testing'
import t from 'tap'
import { openSse } from './clients.ts'
import { metricOf, newUserId, startInstance, tokenFor } from './setup.ts'

const stores = await useStores(t)
const where = { mongoUrl: stores.mongoUrl, database: stores.database('realtime'), nats: stores.nats }
const one = await startInstance(t, where)

t.test('what another service has the server deliver to a user is no live message', async (t) => {
  const user = newUserId()
  const client = await openSse(one.url, { token: tokenFor(user) })
  await waitFor(() => client.lastId() !== undefined)
  const seq = Number(client.lastId()!.split('-')[1])

  // A push consumer of its own stream: the server asks nobody whether its owner may publish where it delivers.
  const jsm = await jetstreamManager(one.nc)
  await jsm.streams.add({ name: 'other', subjects: ['other.>'] })
  const h = headers()
  for (const [name, value] of Object.entries({
    ...{ 'Nats-Stream': 'live', 'Nats-Sequence': String(seq + 1), 'Nats-Last-Sequence': String(seq) },
    ...{ 'Nats-Subject': `live.${user}`, 'live-type': 'post.created' }
  }))
    h.set(name, value)
  await jetstream(one.nc).publish('other.thing', '{"forged":true}', { headers: h })
  const delivered = one.nc.subscribe(`rt.${user}`, { max: 1 })
  await jsm.consumers.add('other', { durable_name: 'other--jobs', deliver_subject: `rt.${user}` })
  for await (const message of delivered) t.equal(message.string(), '{"forged":true}', 'it was delivered')

  await one.live.append(user, { id: 'e1', type: 'x', body: '{"real":true}' })
  await waitFor(() => client.seen.some(({ data }) => data.real), { message: 'the real one' })
  t.same(
    client.seen.map(({ data }) => data),
    [{ real: true }]
  )
  t.equal(await metricOf(one.metrics, 'skerry_live_reads_total', { reason: 'gap' }), 0)
  client.cut()
})
