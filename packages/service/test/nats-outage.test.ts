import { jetstream } from '@nats-io/jetstream'
import { waitFor } from '@skerry/testing'
import t from 'tap'
import { announce, connectNats, ensureBuckets, openIdentity, publishIdentity, watchRegistry } from '../src/index.ts'
import { watchBucket } from '../src/kv-watch.ts'
import { atLeast } from '../src/nats.ts'
import { startNatsServer } from './support/nats-server.ts'
import { createTokens } from './support/server.ts'

const instance = (service: string, n: string) => ({
  service,
  version: '1',
  instance: n,
  url: 'http://127.0.0.1:1',
  weight: 1,
  prefixes: []
})

// Each has a server of its own, and most of it is waiting for what has to expire.
t.jobs = 3

t.test('with the permissions of each part, everything survives kill -9 of NATS', async (t) => {
  const server = await startNatsServer(t)
  const [gateway, widgets, auth] = await Promise.all([
    server.connect('gateway'),
    server.connect('widgets'),
    server.connect('auth')
  ])
  // The gateway may make nothing: it waits for those who may.
  await Promise.all([ensureBuckets(gateway), ensureBuckets(widgets), ensureBuckets(auth)])

  const tables: string[][] = []
  const registry = await watchRegistry(gateway, (all) => tables.push(all.map((i) => `${i.service}.${i.instance}`)), {
    graceMs: 4_000,
    lingerMs: 1
  })
  const identity = await openIdentity(gateway)
  const announced = await announce(widgets, instance('widgets', '1'))
  const dying = await server.connect('auth')
  await announce(dying, instance('auth', '1'))
  const tokens = await createTokens()
  const published = publishIdentity(auth)
  await published.setJwks(tokens.jwks)
  await published.revoke('before', tokens.now + 900)
  await waitFor(() => identity.ready() && tables.at(-1)?.length === 2)
  const token = await tokens.sign({ sid: 'during' })
  await identity.verify(token)

  await server.kill()
  await waitFor(async () => !(await gateway.rtt().catch(() => false)))
  t.same(tables.at(-1), ['auth.1', 'widgets.1'], 'the last table stands')
  t.ok(identity.verifyCached(token), 'tokens are verified on')
  t.ok(await identity.verify(await tokens.sign({ sid: 'new' })))
  await dying.close()

  server.start()
  const before = tables.length
  await waitFor(() => tables.length > before)
  t.same(
    tables.slice(before),
    [['widgets.1']],
    'who lives was never missed; who died meanwhile is dropped after the grace'
  )
  await published.revoke('during', tokens.now + 900)
  await waitFor(() => identity.verifyCached(token) === undefined)

  const later = await openIdentity(widgets)
  await t.rejects(later.verify(await tokens.sign({ sid: 'before' })), { code: 'SESSION_REVOKED' }, 'it was on disk')
  await announced.drain()
  await waitFor(() => tables.at(-1)?.length === 0)
  await Promise.all([registry.close(), identity.close(), later.close()])
})

t.test('who fell silent just before NATS went stays until it had time to come back', async (t) => {
  const server = await startNatsServer(t)
  const [gateway, widgets] = await Promise.all([server.connect('gateway'), server.connect('widgets')])
  await Promise.all([ensureBuckets(gateway), ensureBuckets(widgets)])
  const tables: string[][] = []
  const LINGER_MS = 3_000
  const registry = await watchRegistry(gateway, (all) => tables.push(all.map((i) => i.instance)), {
    lingerMs: LINGER_MS
  })
  t.teardown(() => registry.close())
  let expired = 0
  const watch = await watchBucket(gateway, {
    bucket: 'registry',
    onBegin: () => undefined,
    onComplete: () => undefined,
    onEntry: ({ operation }) => {
      if (operation === 'PURGE') expired++
    }
  })
  t.teardown(() => watch.close())
  const kept = instance('widgets', '1')
  // A heartbeat, and no other: the machine is busy.
  await jetstream(widgets).publish('$KV.registry.widgets.1', JSON.stringify(kept))
  await waitFor(() => tables.at(-1)?.length === 1 && expired === 1)
  await server.kill()
  // Longer than it lingers, and than a watch waits that hears nothing.
  await new Promise((resolve) => setTimeout(resolve, 8_000 + LINGER_MS))
  t.same(tables, [[], ['1']], 'while NATS is away it stays')
  server.start()
  // It says something new, so that it is known to be heard: else its next heartbeat may come behind that of the other.
  const announced = await announce(widgets, { ...kept, weight: kept.weight + 1 })
  await waitFor(() => tables.length === 3)
  const other = await announce(widgets, instance('widgets', '2'))
  await waitFor(() => tables.at(-1)?.length === 2)
  t.same(tables, [[], ['1'], ['1'], ['1', '2']], 'it was never missed')
  await announced.close()
  await other.close()
})

t.test('a bucket that is lost is made again by whoever announces itself', async (t) => {
  const server = await startNatsServer(t)
  const nc = await server.connect('widgets')
  await ensureBuckets(nc)
  let seen = 0
  const watch = await watchRegistry(nc, (all) => {
    seen = all.length
  })
  const announced = await announce(nc, instance('widgets', '1'))
  await waitFor(() => seen === 1)
  await server.kill()
  server.start()
  const other = await server.connect('widgets')
  await waitFor(async () => {
    let all = 0
    const again = await watchRegistry(other, (found) => {
      all = found.length
    })
    await again.close()
    return all === 1
  })
  t.equal(seen, 1)
  await announced.close()
  await watch.close()
})

t.test('no NATS is one clear error in bounded time', async (t) => {
  const options = { url: 'nats://127.0.0.1:1', user: 'x', password: 'hunter2', name: 'x', timeoutMs: 300 }
  await t.rejects(connectNats(options), /no connection to NATS at nats:\/\/127\.0\.0\.1:1/)
})

t.test('versions are compared as versions', async (t) => {
  for (const good of ['2.11.0', '2.11.1', '2.12.0-RC.1', '3.0.0']) t.ok(atLeast(good, '2.11.0'), good)
  for (const bad of ['2.10.29', '2.9.10', '1.99.99', '', 'x']) t.notOk(atLeast(bad, '2.11.0'), bad)
})
