import { cp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { jetstream, jetstreamManager } from '@nats-io/jetstream'
import { connect } from '@nats-io/transport-node'
import { bucketOf, collectionOf, newId, randomBucket } from '@skerry/store'
import { faultRun, randomOf, startTestNats, startTestStores, waitFor } from '@skerry/testing'
import t, { type Test } from 'tap'
import { outbox } from '../src/outbox.ts'
import { durableOf, partitionsOf } from '../src/partitions.ts'
import { openTestStore, rowOf, sources, tallies } from './fixtures/counting.ts'
import { KILL_POINTS } from './fixtures/kill-points.ts'
import { redeliver } from './fixtures/redeliver.ts'
import { besiege } from './fixtures/siege.ts'

// In each round a siege on stores of its own. What dies where and when, and how NATS is ended, is decided by the seed and the round.
// `npm run test:faults -- events-kills` runs more and larger rounds.
const run = faultRun({ short: 1, long: 5 })
t.setTimeout(run.limitMs)
const kills = Number(process.env.SKERRY_KILLS ?? (run.long ? 104 : 9))
// Five are the fewest of which the copy, the restart that takes it and the one that finds nothing are each another one.
const restarts = Number(process.env.SKERRY_RESTARTS ?? (run.long ? 11 : 5))
/** Events on their way at most: writers wait when effects fall behind. */
const AHEAD = run.long ? 400 : 50
const WAIT = { timeoutMs: 300_000 } as const
/** Waits for what the stores are asked: in between the machine is left to those that are to get there. */
const untilStoresSay = (condition: () => Promise<boolean>, message: string) =>
  waitFor(async () => (await condition()) || delay(100, false), { ...WAIT, message })

t.comment(`SKERRY_SEED=${run.seed}`)
for (const round of run.rounds) await t.test(`round ${round}`, { timeout: run.limitMs }, (t) => siegeRound(t, round))

/**
 * Parts die by kill -9 at every step, NATS is restarted, its store lost once and once an older one: nothing is lost, nothing has its effect
 * twice, the order holds.
 */
async function siegeRound(t: Test, round: number): Promise<void> {
  const seed = run.seed * 1_000 + round
  // Its own: a killed process leaves transactions open, and here mongod ends them sooner than others would like.
  const { shared, stop } = await startTestStores((line) => t.comment(line))
  t.teardown(stop)
  const database = 'kill'
  const store = await openTestStore(shared.mongoUrl, database)
  await store.client.db('admin').command({ setParameter: 1, transactionLifetimeLimitSeconds: 3 })
  const nats = await startTestNats(t)
  const nc = await connect({ servers: nats.url, user: nats.user, pass: nats.password, maxReconnectAttempts: -1 })
  const js = jetstream(nc)
  const people = Array.from({ length: 20 }, () => newId(randomBucket()))
  const owners = Object.fromEntries(people.flatMap((owner) => [1, 2, 3].map(() => [newId(bucketOf(owner)), owner])))
  const entities = Object.keys(owners)
  const those = (ids: readonly string[]) => ({ bucket: { $in: ids.map(bucketOf) }, _id: { $in: [...ids] } })
  const filter = those(entities)
  const rows = collectionOf(store.db, tallies)
  const random = randomOf(`${seed} nats`)

  // Restarts that are due: one that comes while the last goes on is not forgotten, and none is left when all have died.
  let due = 0
  const siege = besiege({
    seed,
    kills,
    entities,
    owners,
    common: {
      leaseMs: 600,
      mongo: { url: shared.mongoUrl, database },
      nats: { url: nats.url, user: nats.user, password: nats.password }
    },
    onDeath(deaths) {
      due = deaths >= kills ? restarts : Math.floor((deaths * restarts) / kills)
    }
  })
  t.teardown(async () => {
    await siege.stop()
    await nc.close()
    await store.close()
  })

  const applied = async () => (await rows.find(filter).toArray()).reduce((sum, row) => sum + row.last, 0)
  let writing = true
  // After a failure nothing goes on beside the end of the test.
  let failed = false
  // A long run is watched by its figures.
  const progress = setInterval(async () => {
    const dead = [...siege.deaths.values()].reduce((a, b) => a + b, 0)
    t.comment(`progress ${dead}/${kills} deaths, ${siege.written()} writes, ${await applied()} effects`)
  }, 10_000)
  t.teardown(() => {
    clearInterval(progress)
    writing = false
    failed = true
  })
  const pacing = (async () => {
    while (writing) {
      const room = AHEAD - (siege.written() - (await applied())) - siege.outstanding()
      if (room > 20) siege.allow(Math.min(room, AHEAD))
      const before = siege.written()
      await waitFor(() => !writing || siege.written() >= before + 20 || siege.outstanding() === 0, {
        ...WAIT,
        message: 'writers go on'
      })
    }
  })()

  /** NATS goes down under load again and again; once it comes back with an older copy of its data, once with none. */
  let repeated = 0
  const storm = (async () => {
    for (let i = 0; i < restarts; i++) {
      await waitFor(() => failed || due > i, {
        timeoutMs: run.limitMs,
        message: `enough have died for restart ${i + 1} of NATS`
      })
      if (failed) return
      await nats.restart(random() < 0.7 ? 'SIGKILL' : 'SIGTERM', async (data) => {
        const copy = join(data, '../copy')
        if (i === Math.floor(restarts * 0.3)) await cp(data, copy, { recursive: true })
        if (i === Math.floor(restarts * 0.5)) {
          await rm(data, { recursive: true })
          await cp(copy, data, { recursive: true })
          t.comment('NATS comes back with an older copy of its data')
        }
        if (i === Math.floor(restarts * 0.7)) {
          await rm(data, { recursive: true })
          t.comment('NATS comes back with nothing')
        }
      })
      const jsm = await jetstreamManager(nc, { checkAPI: false })
      const isThere = () => jsm.streams.info('content').then(Boolean, () => false)
      await waitFor(isThere, { ...WAIT, message: 'the stream is there, or made again' })
      repeated += await redeliver(store, js, entities[i % entities.length]!, 10)
    }
  })()

  await Promise.race([siege.over, storm.then(() => siege.over), pacing])
  await storm
  writing = false
  await pacing
  clearInterval(progress)
  await waitFor(() => siege.outstanding() === 0, { ...WAIT, message: 'the writers come to their end' })
  const pending = () =>
    collectionOf(store.db, outbox).countDocuments({ pending: true }, { comment: 'relay-pending', limit: 1 })
  await untilStoresSay(async () => (await pending()) === 0, 'every event is published')
  const written = new Map((await collectionOf(store.db, sources).find(filter).toArray()).map((s) => [s._id, s.n]))
  const done = async () => {
    const reached = new Map((await rows.find(filter).toArray()).map((row) => [row._id, row.last]))
    return [...written].every(([id, n]) => (reached.get(id) ?? 0) >= n)
  }
  await untilStoresSay(done, 'every write reaches its effect')
  await untilStoresSay(async () => {
    const jsm = await jetstreamManager(nc)
    const partitions = partitionsOf((await jsm.streams.info('content')).config)
    const infos = await Promise.all(
      partitions.map((p) => jsm.consumers.info('content', durableOf('content--tally', p)))
    )
    return infos.every((info) => info.num_pending + info.num_ack_pending === 0)
  }, 'repeats have come to their end')

  const [lost, twice, disorder]: string[][] = [[], [], []]
  const effects = new Map((await rows.find(filter).toArray()).map((row) => [row._id, row]))
  for (const [id, n] of written) {
    const { applied = 0, disorder: found = [] } = effects.get(id) ?? {}
    if (applied < n || n < (siege.acknowledged.get(id) ?? 0)) lost!.push(`${id}: ${applied} of ${n}`)
    if (applied > n) twice!.push(`${id}: ${applied} for ${n}`)
    disorder!.push(...found.map((d) => `${id}: ${d}`))
  }
  for (const { _id, disorder: found = [] } of await rows.find(those(people.map(rowOf))).toArray())
    disorder!.push(...found.map((d) => `${_id}: ${d}`))
  t.ok(written.size >= siege.acknowledged.size && siege.acknowledged.size > entities.length / 2)
  t.same(lost, [], 'nothing is lost')
  t.same(twice, [], 'nothing has its effect twice')
  t.same(disorder, [], 'the order of each entity is kept, and of all that one owner has')
  t.ok([...siege.deaths.values()].reduce((sum, n) => sum + n, 0) >= kills)
  if (kills >= 100)
    for (const step of Object.values(KILL_POINTS).flat())
      t.ok((siege.deaths.get(step) ?? 0) > 0, `someone died at "${step}"`)
  t.equal((await (await jetstreamManager(nc)).streams.info('dlq_content')).state.messages, 0, 'no dead letter')
  t.comment(`${siege.written()} writes acknowledged, ${await applied()} effects, ${repeated} forced repeats`)
  for (const [step, n] of siege.deaths) t.comment(`died ${step}: ${n}`)
}
