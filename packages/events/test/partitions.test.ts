import { fork } from 'node:child_process'
import { once } from 'node:events'
import { bucketOf, collectionOf, newId } from '@skerry/store'
import { childEnv, useStores, waitFor } from '@skerry/testing'
import t, { type Test } from 'tap'
import { type Incoming, type OperationView, type OperatorAnswer, on, startConsumer, startRelay } from '../src/index.ts'
import { Counted, rowOf, tallies, tally, write } from './fixtures/counting.ts'
import { sharesOf } from './fixtures/owners.ts'
import { openService } from './fixtures/service.ts'

const stores = await useStores(t)

type Service = Awaited<ReturnType<typeof openService>>
type Event = Incoming<{ id: string; n: number }>

const CONSUMER = 'content--tally'
const ALL = [0, 1, 2, 3, 4, 5, 6, 7]

/** One owner in each partition, and a thing of theirs. */
const people = () => ALL.map((partition) => ({ owner: newId(partition * 512 + 1), id: newId(partition * 512 + 1) }))
type People = ReturnType<typeof people>

/** An instance of the service, which consumes. */
function startInstance(
  { store, common }: Service,
  instance: string,
  before: (event: Event) => Promise<void> = async () => undefined
) {
  return startConsumer({
    ...{ ...common, instance, purpose: 'tally', replays: 'safe' as const },
    subscriptions: [
      on(Counted, async (event, tx) => {
        await before(event)
        await tally(store, event, bucketOf(event.data.id), tx)
      })
    ]
  })
}

const { owners, shared } = sharesOf('consumer:content:content--tally')

async function writeAll({ store }: Service, all: People, times = 1): Promise<void> {
  for (let i = 0; i < times; i++)
    await Promise.all(all.map(({ owner, id }) => write(store, id, bucketOf(id), { owner })))
}

const rowsOf = async ({ store }: Service, all: People) => {
  const ids = all.map(({ owner }) => rowOf(owner))
  return collectionOf(store.db, tallies)
    .find({ bucket: { $in: ids.map(bucketOf) }, _id: { $in: ids } })
    .toArray()
}

/** Waits until everybody's events have had their effect, and looks at their order. */
async function applied(t: Test, service: Service, all: People, times: number): Promise<void> {
  await waitFor(async () => {
    const rows = await rowsOf(service, all)
    return rows.length === all.length && rows.every(({ last }) => last >= times)
  })
  for (const { last, applied, disorder } of await rowsOf(service, all))
    t.same({ last, applied, disorder }, { last: times, applied: times, disorder: undefined })
}

t.test(
  'instances share the partitions, hand them over as they come and go, and nothing is lost, twice or in disorder',
  async (t) => {
    const service = await openService(t, stores, 'shares')
    const { store, jsm } = service
    const relay = startRelay({ ...service.common, partitions: 8 })
    const all = people()
    const one = startInstance(service, 'one')
    await shared(store, 'one')
    await writeAll(service, all, 3)
    await applied(t, service, all, 3)
    const { state } = await jsm.streams.info('content', { subjects_filter: 'content.test.>' })
    t.same(
      Object.keys(state.subjects ?? {}).sort(),
      ALL.map((p) => `content.test.counted.v1.${p}`),
      'each in the partition of its key'
    )

    const two = startInstance(service, 'two')
    const writing = writeAll(service, all, 20)
    await shared(store, 'one', 'two')
    t.ok(one.attached(), 'whoever takes or gives is attached meanwhile')
    await waitFor(() => two.attached())
    const three = startInstance(service, 'three')
    await shared(store, 'one', 'two', 'three')
    await two.stop()
    await shared(store, 'one', 'three')
    await writing
    await applied(t, service, all, 23)
    await one.stop()
    await shared(store, 'three')
    await writeAll(service, all)
    await applied(t, service, all, 24)
    await three.stop()
    t.same(await owners(store), {})
    await relay.stop()
  }
)

t.test('a handler that does not end keeps its own partition from going over, and no other', async (t) => {
  const service = await openService(t, stores, 'stuck')
  const relay = startRelay({ ...service.common, partitions: 8 })
  const all = people()
  const { promise: gate, resolve: letGo } = Promise.withResolvers<void>()
  let stuck = false
  const one = startInstance(service, 'one', async ({ data }) => {
    if (data.id !== all[0]!.id) return
    stuck = true
    await gate
  })
  await shared(service.store, 'one')
  await writeAll(service, all.slice(0, 1))
  await waitFor(() => stuck)
  const stopping = one.stop()
  const two = startInstance(service, 'two')
  await waitFor(async () => (await owners(service.store)).two?.length === 7)
  t.same((await owners(service.store)).one, [0])
  await writeAll(service, all.slice(1))
  await applied(t, service, all.slice(1), 1)
  letGo()
  await stopping
  await shared(service.store, 'two')
  await applied(t, service, all, 1)
  await two.stop()
  await relay.stop()
})

t.test('what a killed instance had goes to the others', async (t) => {
  const service = await openService(t, stores, 'killed')
  const { store } = service
  const relay = startRelay({ ...service.common, partitions: 8 })
  const { url, user, password } = stores.nats
  const child = fork(new URL('fixtures/victim.ts', import.meta.url), {
    execArgv: [],
    env: {
      ...childEnv(),
      VICTIM: JSON.stringify({
        ...{ role: 'consumer', instance: 'child', leaseMs: 2_000, nats: { url, user, password } },
        mongo: { url: stores.mongoUrl, database: stores.database('killed') }
      })
    }
  })
  const exited = once(child, 'exit')
  t.teardown(async () => {
    child.kill('SIGKILL')
    await exited
  })
  const one = startInstance(service, 'one')
  await shared(store, 'child', 'one')
  const all = people()
  const writing = writeAll(service, all, 10)
  child.kill('SIGKILL')
  await exited
  await shared(store, 'one')
  await writing
  await applied(t, service, all, 10)
  await one.stop()
  await relay.stop()
})

t.test(
  'a stream from before partitions has none; made anew it has them, and its events have their effect once',
  async (t) => {
    const service = await openService(t, stores, 'migrated')
    const { store, jsm, common } = service
    await jsm.streams.add({ name: 'content', subjects: ['content.>'], allow_direct: true })
    const relay = startRelay({ ...common, partitions: 8, checkMs: 200 })
    const all = people()
    const [one, two] = [startInstance(service, 'one'), startInstance(service, 'two')]
    await writeAll(service, all, 2)
    await applied(t, service, all, 2)
    const subjects = async () =>
      (await jsm.streams.info('content', { subjects_filter: 'content.test.>' })).state.subjects
    t.same(await subjects(), { 'content.test.counted.v1': 16 })
    t.same(await owners(store), {}, 'one has all of it')
    t.ok((await jsm.consumers.info('content', CONSUMER)).config.filter_subjects)

    await jsm.streams.delete('content')
    await shared(store, 'one', 'two')
    await writeAll(service, all, 2)
    await applied(t, service, all, 4)
    t.equal(Object.keys((await subjects()) ?? {}).length, 8)
    await one.stop()
    await two.stop()
    await relay.stop()
  }
)

t.test('a replay is done when every partition has done its part, whoever owns it', async (t) => {
  const service = await openService(t, stores, 'replayed')
  const { nc } = service
  const relay = startRelay({ ...service.common, partitions: 8 })
  const all = people()
  const seen: string[] = []
  const count = async ({ data }: Event) => void seen.push(`${data.id} ${data.n}`)
  const [one, two] = [startInstance(service, 'one', count), startInstance(service, 'two', count)]
  await shared(service.store, 'one', 'two')
  await writeAll(service, all, 2)
  await applied(t, service, all, 2)
  const ask = async <T>(command: string, request: object) => {
    const reply = await nc.request(`ops.content.tally.${command}`, JSON.stringify(request), { timeout: 30_000 })
    const answer = reply.json<OperatorAnswer>()
    if (!answer.ok) throw new Error(answer.message)
    return answer.value as T
  }
  seen.length = 0
  const { id } = await ask<{ id: string }>('replay', { by: 'ada', stream: 'content', from: 1 })
  let view: OperationView | undefined
  await waitFor(async () => {
    view = await ask<OperationView>('operation', { id })
    return view.state !== 'pending'
  })
  t.match(view, { state: 'done', outcome: /^replayed 1 to 16$/ })
  t.same([...new Set(seen)].sort(), all.flatMap((one) => [`${one.id} 1`, `${one.id} 2`]).sort())
  const status = await ask<{ parts: { partition: number; owner: string }[] }>('status', {})
  t.same(
    status.parts.map(({ partition }) => partition),
    ALL
  )
  await one.stop()
  await two.stop()
  await relay.stop()
})
