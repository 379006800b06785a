import { type ChildProcess, fork } from 'node:child_process'
import { bucketOf, newId, randomBucket } from '@skerry/store'
import { useStores, waitFor } from '@skerry/testing'
import t from 'tap'
import { openTestStore, write } from './fixtures/counting.ts'
import { openService, tallyOf } from './fixtures/service.ts'

const stores = await useStores(t)
t.setTimeout(180_000)

t.test('one event that nothing follows is not lost to the pull of an owner that was stopped', async (t) => {
  const { store } = await openService(t, stores, 'paused')
  const writer = await openTestStore(stores.mongoUrl, stores.database('paused'))
  t.teardown(() => writer.close())
  const started: ChildProcess[] = []
  t.teardown(async () => {
    for (const child of started) {
      const ended = new Promise((resolve) => child.once('exit', resolve))
      child.kill('SIGKILL')
      await ended
    }
  })
  const start = async (instance: string) => {
    const child = fork(new URL('fixtures/worker.ts', import.meta.url), {
      env: {
        ...process.env,
        MONGO_URL: stores.mongoUrl,
        MONGO_DATABASE: stores.database('paused'),
        NATS_URL: stores.nats.url,
        NATS_USER: stores.nats.user,
        NATS_PASSWORD: stores.nats.password,
        INSTANCE: instance,
        // That of production: how it stands to the time of a pull is what counts.
        LEASE_MS: '8000'
      }
    })
    started.push(child)
    await new Promise((resolve) => child.once('message', resolve))
    return child
  }
  const first = await start('a')
  await start('b')
  const before = newId(randomBucket())
  await write(writer, before, bucketOf(before))
  await waitFor(async () => (await tallyOf(store, before)) !== null, { timeoutMs: 60_000 })

  first.kill('SIGSTOP')
  const id = newId(randomBucket())
  await write(writer, id, bucketOf(id))
  // Less than the lease and the 30 s after which the server sends again what the stopped one was given.
  await waitFor(async () => (await tallyOf(store, id)) !== null, { timeoutMs: 30_000, message: 'b applies it' })
  t.match(await tallyOf(store, id), { last: 1 })
})
