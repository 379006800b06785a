import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { jetstreamManager } from '@nats-io/jetstream'
import { connect } from '@nats-io/transport-node'
import { collectionOf, transaction } from '@skerry/store'
import { childEnv, useStores, waitFor } from '@skerry/testing'
import t from 'tap'
import { scheduleJob } from '../src/index.ts'
import { plannedJobs } from '../src/jobs/planned.ts'
import { notes, openNotes, Work } from './fixtures/job-runner.ts'

const stores = await useStores(t)

t.test('a job whose instance is killed in the middle is done by the other, once', async (t) => {
  const database = stores.database('jobkill')
  const store = await openNotes(stores.mongoUrl, database)
  t.teardown(() => store.close())
  const { url, user, password } = stores.nats
  const start = (instance: string, more: Record<string, string> = {}) => {
    const env = {
      ...childEnv(),
      ...{ INSTANCE: instance, MONGO_URL: stores.mongoUrl, MONGO_DATABASE: database },
      ...{ NATS_URL: url, NATS_USER: user, NATS_PASSWORD: password, ...more }
    }
    const child: ChildProcess = fork(new URL('fixtures/job-runner.ts', import.meta.url), { execArgv: [], env })
    const exited = once(child, 'exit')
    const said: unknown[] = []
    child.on('message', (message) => said.push(message))
    t.teardown(async () => {
      child.kill('SIGKILL')
      await exited
    })
    return {
      child,
      exited,
      said: (what: string) => waitFor(() => said.includes(what), { message: `${instance}: ${what}` })
    }
  }
  const find = (_id: string) => collectionOf(store.db, notes).findOne({ _id })
  const plan = (note: string) =>
    transaction(store, {}, (tx) => scheduleJob(store, tx, Work, { note }, { at: new Date(), key: note }))

  const first = start('1', { HOLD: 'yes' })
  await first.said('ready')
  const second = start('2')
  await plan('killed')
  await first.said('in the middle')
  t.equal(await find('killed'), null, 'nothing of it is seen before its end')
  first.child.kill('SIGKILL')
  t.equal((await first.exited)[1], 'SIGKILL')
  await waitFor(() => find('killed'), { message: 'the other does it' })
  await plan('after')
  await waitFor(() => find('after'))
  // Nothing is still to come of either.
  const nc = await connect({ servers: url, user, pass: password })
  t.teardown(() => nc.close())
  const jsm = await jetstreamManager(nc)
  await waitFor(async () => {
    const all = await jsm.consumers.list(Work.service).next()
    return all.length > 0 && all.every(({ num_pending, num_ack_pending }) => num_pending + num_ack_pending === 0)
  })
  t.match(await find('killed'), { count: 1, by: '2' })
  t.match(await find('after'), { count: 1, by: '2' })
  t.equal(await collectionOf(store.db, plannedJobs).countDocuments({}), 0)
  t.equal(second.child.exitCode, null)
})
