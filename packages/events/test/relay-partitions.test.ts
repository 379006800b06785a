import { once } from 'node:events'
import { jetstream } from '@nats-io/jetstream'
import type { NatsConnection } from '@nats-io/transport-node'
import { bucketOf, collectionOf, leases, newId, type Store } from '@skerry/store'
import { useStores, waitFor } from '@skerry/testing'
import t, { type Test } from 'tap'
import { takeFence } from '../src/fence.ts'
import { fromHeaders, startRelay } from '../src/index.ts'
import { outbox } from '../src/outbox.ts'
import { ensureStreams, streamStates } from '../src/streams.ts'
import { write } from './fixtures/counting.ts'
import type { KillPoint } from './fixtures/kill-points.ts'
import { launch } from './fixtures/launch.ts'
import { sharesOf } from './fixtures/owners.ts'
import { openService } from './fixtures/service.ts'
import type { VictimOptions } from './fixtures/victim.ts'

const stores = await useStores(t)
t.setTimeout(300_000)

type Service = Awaited<ReturnType<typeof openService>>

const ALL = [0, 1, 2, 3, 4, 5, 6, 7]
const NS_PER_MS = 1_000_000

/** One owner in each partition, and two things of theirs. */
const people = () => ALL.map((partition) => [1, 2, 3].map(() => newId(partition * 512 + 1)) as [string, string, string])
type People = ReturnType<typeof people>

async function writeAll(store: Store, all: People, times = 1): Promise<void> {
  await Promise.all(
    all.map(async ([owner, ...things]) => {
      for (let n = 0; n < times; n++) {
        const id = things[n % 2]!
        await write(store, id, bucketOf(id), { owner })
      }
    })
  )
}

/** The numbers of each person's events as they stand in the stream. */
async function published({ jsm }: Service): Promise<Map<string, number[]>> {
  const found = new Map<string, number[]>()
  const { state } = await jsm.streams.info('content')
  for (let seq = Math.max(1, state.first_seq); seq <= state.last_seq; seq++) {
    const message = await jsm.streams.getMessage('content', { seq })
    if (message === null || fromHeaders(message.subject, message.header) === undefined) continue
    const { owner } = message.json<{ owner: { id: string; n: number } }>()
    found.set(owner.id, [...(found.get(owner.id) ?? []), owner.n])
  }
  return found
}

const pendingOf = (store: Store) =>
  collectionOf(store.db, outbox).countDocuments({ pending: true }, { comment: 'relay-pending' })

/** Waits until all is marked, and finds each event once and in order. */
async function whole(t: Test, service: Service, all: People, times: number, message: string): Promise<void> {
  await waitFor(async () => (await pendingOf(service.store)) === 0, { message: `nothing is pending: ${message}` })
  const found = await published(service)
  const numbers = Array.from({ length: times }, (_, i) => i + 1)
  for (const [owner] of all) t.same(found.get(owner), numbers, message)
}

const { owners: relays, shared } = sharesOf('relay:content')

const marksOf = async ({ jsm }: Service) =>
  Object.keys((await jsm.streams.info('content', { subjects_filter: 'content.relay.*' })).state.subjects ?? {}).length

function launchRelay(t: Test, name: string, kill?: VictimOptions['kill']) {
  const { url, user, password } = stores.nats
  const victim: VictimOptions = {
    ...{ role: 'relay', instance: 'victim', leaseMs: 1_000, nats: { url, user, password } },
    mongo: { url: stores.mongoUrl, database: stores.database(name) },
    ...(kill === undefined ? {} : { kill })
  }
  return launch(t, victim)
}

t.test('instances share what is relayed, and hand it over in order as they come and go', async (t) => {
  const service = await openService(t, stores, 'relays')
  const { store } = service
  const start = (instance: string) => startRelay({ ...service.common, instance, partitions: 8 })
  const all = people()
  const one = start('one')
  await shared(store, 'one')
  await writeAll(store, all, 3)
  const two = start('two')
  const writing = writeAll(store, all, 20)
  await shared(store, 'one', 'two')
  const three = start('three')
  await shared(store, 'one', 'two', 'three')
  t.ok(one.attached(), 'who gives is attached meanwhile')
  await two.stop()
  await shared(store, 'one', 'three')
  await writing
  await whole(t, service, all, 23, 'through all of it')
  await one.stop()
  await shared(store, 'three')
  await writeAll(store, all)
  await whole(t, service, all, 24, 'by the last one')
  await three.stop()
  t.same(await relays(store), {})
})

t.test('who has nothing on its way leaves no doubt, and its successor no mark', async (t) => {
  const service = await openService(t, stores, 'unmarked')
  const { store } = service
  const all = people()
  for (const [at, instance] of ['one', 'two', 'one'].entries()) {
    const relay = startRelay({ ...service.common, instance, partitions: 8 })
    await writeAll(store, all)
    await whole(t, service, all, at + 1, `by ${instance}`)
    await relay.stop()
  }
  t.equal(await marksOf(service), 0)
})

t.test('what a killed instance relayed goes to the others', async (t) => {
  const service = await openService(t, stores, 'killed')
  const { store } = service
  const one = startRelay({ ...service.common, instance: 'one', partitions: 8 })
  await shared(store, 'one')
  const { child, exited } = launchRelay(t, 'killed')
  await shared(store, 'one', 'victim')
  const all = people()
  await writeAll(store, all, 2)
  await waitFor(async () => (await pendingOf(store)) === 0, { message: 'both work' })
  const writing = writeAll(store, all, 10)
  child.kill('SIGKILL')
  await exited
  await shared(store, 'one')
  await writing
  await whole(t, service, all, 12, 'after the kill')
  await waitFor(async () => (await marksOf(service)) === 4, { message: 'its partitions are marked' })
  await one.stop()
})

/** Loses what is published to a partition on its way to the server, until it is let through. */
function blockPartition(nc: NatsConnection, partition: number): { lost(): number; letThrough(): void } {
  const { protocol } = nc as unknown as { protocol: { publish(subject: string, ...rest: unknown[]): void } }
  const plain = protocol.publish.bind(protocol)
  let blocked = true
  let lost = 0
  protocol.publish = (subject, ...rest) => {
    if (blocked && subject.startsWith('content.test.') && subject.endsWith(`.${partition}`)) lost++
    else plain(subject, ...rest)
  }
  return {
    lost: () => lost,
    letThrough() {
      blocked = false
    }
  }
}

t.test('a partition whose publishes are held up stops no other, however much it has', async (t) => {
  const service = await openService(t, stores, 'slow')
  const { store, nc } = service
  const relay = startRelay({ ...service.common, partitions: 8 })
  await waitFor(() => relay.owner())
  const blocked = blockPartition(nc, 5)
  const all = people()
  const others = all.filter((_, partition) => partition !== 5)
  // More than may be on their way, and all of different people.
  const crowd = Array.from({ length: 60 }, () => newId(5 * 512 + 7))
  await Promise.all(crowd.map((id) => write(store, id, bucketOf(id), { owner: id })))
  await waitFor(() => blocked.lost() >= 32)
  await writeAll(store, all, 6)
  await waitFor(async () => [...(await published(service)).values()].flat().length === others.length * 6, {
    message: 'the others have all of theirs'
  })
  t.equal(await pendingOf(store).then((count) => count >= 66), true)
  blocked.letThrough()
  await whole(t, service, all, 6, 'all in order in the end')
  const found = await published(service)
  t.same([...new Set(crowd.flatMap((id) => found.get(id)))], [1])
  await relay.stop()
})

t.test('one partition that is held up while an instance starts keeps no other from its backlog', async (t) => {
  const service = await openService(t, stores, 'backlog')
  const { store, nc } = service
  const all = people()
  const crowd = Array.from({ length: 40 }, () => newId(5 * 512 + 7))
  await Promise.all(crowd.map((id) => write(store, id, bucketOf(id), { owner: id })))
  await writeAll(store, all, 4)
  const blocked = blockPartition(nc, 5)
  const relay = startRelay({ ...service.common, partitions: 8 })
  await waitFor(async () => [...(await published(service).catch(() => new Map())).values()].flat().length === 28)
  blocked.letThrough()
  await whole(t, service, all, 4, 'all in order in the end')
  await relay.stop()
})

t.test(
  'whoever takes a partition from one that has not ended in order has JetStream refuse what that one sends',
  async (t) => {
    const { store, nc, jsm } = await openService(t, stores, 'fence')
    await ensureStreams(store, jsm, 'content', 8)
    const { created } = await jsm.streams.info('content')
    const js = jetstream(nc)
    const partition = { index: 5, of: 8, token: '.5' }
    const take = async (instance: string, owner = instance) => {
      await collectionOf(store.db, leases).replaceOne(
        { _id: 'roles' },
        {
          members: [{ id: owner, until: new Date(Date.now() + 3_600_000) }],
          owners: [{ role: 'relay:content:5', owner }]
        },
        { upsert: true }
      )
      return await takeFence({ store, jsm, js, service: 'content', instance, created, partition })
    }
    const send = async ({ expect }: Awaited<ReturnType<typeof take>>) =>
      (await js.publish('content.test.counted.v1.5', '{}', { expect })).seq

    const one = await take('one')
    t.same([await send(one), await send(one)], [1, 2], 'a stream that was never relayed to needs no mark')
    const two = await take('two')
    t.equal(two.expect.lastSubjectSequence, 3, 'its mark')
    await t.rejects(send(one), { code: 10071 })
    t.equal(await send(two), 4)
    await t.rejects(take('one', 'two'), /that of two by now/)
    await one.release()
    t.equal(await send(two), 5, 'what one says has no meaning any more')
    await two.release()
    const three = await take('three')
    t.same(three.expect, two.expect, 'two has ended in order')
    t.equal(await send(three), 6)
    await three.release()

    // Of two that begin at the same moment one may publish: the other had no fence, or has it no more.
    const begun = (await Promise.allSettled([take('four'), take('four')])).flatMap((one) =>
      one.status === 'fulfilled' ? [one.value] : []
    )
    const sent = await Promise.allSettled(begun.map(send))
    t.equal(sent.filter(({ status }) => status === 'fulfilled').length, 1)
    const seven = await take('seven')
    t.ok(await send(seven))
    await jsm.streams.purge('content', { filter: 'content.relay.*' })
    await t.rejects(send(seven), { code: 10071 }, 'a stream that has lost its marks is published to by nobody')
    const six = await take('six')
    t.ok(await send(six))
  }
)

for (const step of [
  'publish: before it is sent',
  'mark: before it is sent',
  'mark: sent, not acknowledged'
] as KillPoint[])
  t.test(`paused at "${step}": what it sends when it wakes is refused, where nothing else would drop it`, async (t) => {
    const name = step.replaceAll(/\W/g, '')
    const service = await openService(t, stores, name)
    const { store, jsm } = service
    const first = startRelay({ ...service.common, leaseMs: 1_000, partitions: 8 })
    await waitFor(() => first.owner())
    await first.stop()
    // No repeat is known as one.
    const { config } = await jsm.streams.info('content')
    await jsm.streams.update('content', { ...config, duplicate_window: 100 * NS_PER_MS })
    if (step.startsWith('mark'))
      await collectionOf(store.db, streamStates).updateOne(
        { _id: 'content' },
        { $set: { relays: Object.fromEntries(ALL.map((index) => [index, 'doubted'])) } }
      )
    const victim = launchRelay(t, name, { step, nth: step.startsWith('mark') ? 3 : 10, how: 'paused' })
    const all = people()
    const writing = step.startsWith('mark') ? undefined : once(victim.child, 'message')
    await writing
    await writeAll(store, all, 4)
    await waitFor(victim.isPaused)
    // What it had an acknowledgement for and has not marked is sent again, and is no matter here.
    const before = await published(service)
    const other = startRelay({ ...service.common, instance: 'other', leaseMs: 1_000, partitions: 8 })
    await waitFor(async () => (await pendingOf(store)) === 0, { message: 'the other one has done it' })
    const meanwhile = await published(service)
    victim.child.kill('SIGCONT')
    await shared(store, 'other', 'victim')
    await writeAll(store, all, 4)
    await waitFor(async () => (await pendingOf(store)) === 0, { message: 'all is published' })
    const after = await published(service)
    for (const [owner] of all) {
      const had = meanwhile.get(owner)!
      t.same(new Set(had), new Set([1, 2, 3, 4]))
      t.ok(had.length <= 4 + (before.get(owner)?.length ?? 0))
      t.same(after.get(owner), [...had, 5, 6, 7, 8], 'nothing of what it held was added')
    }
    await other.stop()
  })
