import { spawn } from 'node:child_process'
import { hash } from 'node:crypto'
import { join } from 'node:path'
import { childEnv, useStores, waitFor } from '@skerry/testing'
import t from 'tap'
import { type App, startApp, watchTable } from './support/app-process.ts'

t.setTimeout(110_000)
const stores = await useStores(t)

t.test('an app starts, says that it is ready, is announced, serves, and stops in order', async (t) => {
  const instances = await watchTable(t, stores)
  const app = startApp(t, stores, { SKERRY_INSTANCE: 'one', WEIGHT: '2' })
  const ready = await app.ready()
  t.match(ready, { type: 'ready', url: /^http:\/\/127\.0\.0\.1:\d+$/, ops: /^http:\/\/127\.0\.0\.1:\d+$/ })
  await waitFor(() => instances().length === 1)
  t.match(instances(), [
    { service: 'widgets', version: '1.2.3', instance: 'one', url: ready.url, weight: 2, prefixes: ['/v1/widgets'] }
  ])
  t.match(await (await fetch(`${ready.url}/v1/widgets`)).json(), { items: [{ name: 'one' }] })
  t.equal((await fetch(`${ready.url}/metrics`)).status, 404, 'operations have their own port')
  const readyz = await fetch(`${ready.ops}/readyz`)
  t.equal(readyz.status, 200)
  t.same(await readyz.json(), { ready: true, reasons: {} })
  t.equal((await fetch(`${ready.ops}/livez`)).status, 200)
  const metrics = await (await fetch(`${ready.ops}/metrics`)).text()
  t.match(
    metrics,
    /skerry_http_request_duration_seconds_count\{.*route="\/v1\/widgets",status="200",service="widgets",instance="one"\} 1/
  )
  t.match(metrics, /process_cpu_seconds_total/)

  app.child.kill('SIGTERM')
  t.equal(await app.exited, 0)
  t.equal(app.err(), 'consumers stopped\nconnections closed\n')
  await waitFor(() => instances().length === 0)
  t.match(app.lines(), [{ service: 'widgets', instance: 'one' }])
})

t.test('an app announces the rules of its routes and serves their document on its operations port', async (t) => {
  const instances = await watchTable(t, stores)
  const app = startApp(t, stores, { ZONE: 'north-1', SKERRY_VERSION: '2.0.0-canary.1' })
  const { url, ops } = await app.ready()
  await waitFor(() => instances().length === 1)
  const answer = await fetch(`${ops}/openapi.json`)
  t.equal(answer.status, 200)
  t.match(answer.headers.get('content-type'), 'application/json')
  const body = await answer.text()
  t.match(JSON.parse(body), {
    openapi: /^3\.1\./,
    info: { title: 'widgets', version: '2.0.0-canary.1' },
    paths: { '/v1/widgets': { get: { operationId: 'listWidgets' } } }
  })
  t.match(instances(), [
    {
      version: '2.0.0-canary.1',
      zone: 'north-1',
      ops,
      prefixes: ['/v1/widgets'],
      routes: [{ method: 'GET', path: '/v1/widgets', auth: 'none' }],
      contract: hash('sha256', body, 'hex')
    }
  ])
  const etag = answer.headers.get('etag') ?? ''
  const again = await fetch(`${ops}/openapi.json`, { headers: { 'if-none-match': etag } })
  t.equal(again.status, 304)
  t.equal((await fetch(`${url}/openapi.json`)).status, 404, 'not on the public port')
})

t.test(
  'an app announces the events that it publishes, also when it has no routes, and serves their document',
  async (t) => {
    const instances = await watchTable(t, stores)
    const app = startApp(t, stores, { TEST_EVENTS: 'widgets.thing.made widgets.thing.gone', TEST_MODE: 'mute' })
    const { ops } = await app.ready()
    await waitFor(() => instances().length === 1)
    const answer = await fetch(`${ops}/asyncapi.json`)
    t.equal(answer.status, 200)
    const body = await answer.text()
    t.match(JSON.parse(body), {
      asyncapi: '3.0.0',
      info: { title: 'widgets' },
      channels: { 'widgets.thing.gone.v1': {}, 'widgets.thing.made.v1': {} }
    })
    t.match(instances(), [{ prefixes: [], ops, events: hash('sha256', body, 'hex') }])
    t.notOk('contract' in instances()[0]!)
    t.equal((await fetch(`${ops}/openapi.json`)).status, 404)

    const plain = startApp(t, stores, { SKERRY_INSTANCE: 'plain' })
    const { ops: silent } = await plain.ready()
    await waitFor(() => instances().length === 2)
    t.notOk(
      'events' in instances().find(({ instance }) => instance === 'plain')!,
      'one that publishes none says nothing'
    )
    t.equal((await fetch(`${silent}/asyncapi.json`)).status, 404)

    const foreign = startApp(t, stores, { SKERRY_INSTANCE: 'foreign', TEST_EVENTS: 'gadgets.thing.made' })
    t.equal(await foreign.exited, 1)
    t.match(foreign.out(), /widgets cannot publish gadgets\.thing\.made\.v1: its subject says whose it is/)
  }
)

t.test('what gateways reach an app by may be somewhere else than where it listens', async (t) => {
  const instances = await watchTable(t, stores)
  const behind = startApp(t, stores, { SKERRY_INSTANCE: 'behind', ADVERTISE_URL: 'http://[::1]:7000' })
  const apart = startApp(t, stores, {
    SKERRY_INSTANCE: 'apart',
    ADVERTISE_URL: 'https://widgets.example',
    ADVERTISE_OPS_URL: 'https://ops.widgets.example:9000'
  })
  const [{ ops }] = await Promise.all([behind.ready(), apart.ready()])
  await waitFor(() => instances().length === 2)
  t.match(instances(), [
    { instance: 'apart', url: 'https://widgets.example', ops: 'https://ops.widgets.example:9000' },
    { instance: 'behind', url: 'http://[::1]:7000', ops: `http://[::1]:${new URL(ops).port}` }
  ])
})

t.test('stopping one of two instances under keep-alive traffic loses no request', async (t) => {
  const instances = await watchTable(t, stores)
  const [one, two] = ['one', 'two'].map((name) => startApp(t, stores, { SKERRY_INSTANCE: name, DRAIN_MS: '2000' })) as [
    App,
    App
  ]
  await Promise.all([one.ready(), two.ready()])
  await waitFor(() => instances().length === 2)
  const answered: Record<string, number> = { one: 0, two: 0 }
  const failures: unknown[] = []
  let stop = false
  let next = 0
  const client = async () => {
    while (!stop) {
      const all = instances()
      const { url } = all[next++ % all.length]!
      try {
        const answer = await fetch(`${url}/v1/widgets?q=slow&limit=1`)
        const body = (await answer.json()) as { items: Array<{ name: string }> }
        if (answer.status !== 200) failures.push(answer.status)
        answered[body.items[0]!.name]! += 1
      } catch (error) {
        failures.push(error)
      }
    }
  }
  const clients = Array.from({ length: 8 }, client)
  await waitFor(() => answered.one! > 50 && answered.two! > 50)
  one.child.kill('SIGTERM')
  t.equal(await one.exited, 0)
  const after = answered.two!
  await waitFor(() => answered.two! > after + 50)
  stop = true
  await Promise.all(clients)
  t.same(failures, [])
  two.child.kill('SIGTERM')
  t.equal(await two.exited, 0)
})

t.test(
  'what runs at the signal is finished, on a connection that closes; new requests are still taken for a while',
  async (t) => {
    const app = startApp(t, stores, { DRAIN_MS: '3000' })
    const { url, ops } = await app.ready()
    const slow = fetch(`${url}/v1/widgets?q=leaving`)
    await waitFor(async () =>
      (await (await fetch(`${ops}/metrics`)).text()).includes(
        'skerry_http_requests_pending{service="widgets",instance="1"} 1'
      )
    )
    app.child.kill('SIGTERM')
    await waitFor(async () => (await fetch(`${ops}/readyz`)).status === 503)
    const meanwhile = await fetch(`${url}/v1/widgets`)
    t.equal(meanwhile.status, 200)
    t.equal(meanwhile.headers.get('connection'), 'close')
    const answer = await slow
    t.equal(answer.status, 200)
    t.equal(answer.headers.get('connection'), 'close')
    t.equal(await app.exited, 0)
  }
)

t.test('an app whose parent is gone ends itself; Ctrl-C under a parent is the parent’s', async (t) => {
  const app = startApp(t, stores)
  const { url } = await app.ready()
  app.child.kill('SIGINT')
  t.equal((await fetch(`${url}/v1/widgets`)).status, 200)
  app.child.disconnect()
  t.equal(await app.exited, 0)
  t.match(app.err(), /connections closed/)
})

t.test('kill -9 of the parent leaves no orphan', async (t) => {
  const path = JSON.stringify(join(import.meta.dirname, 'support/app.ts'))
  const script = `const app = require('node:child_process').fork(${path}); app.once('message', () => console.log('pid ' + app.pid))`
  const parent = spawn(process.execPath, ['-e', script], {
    stdio: ['ignore', 'pipe', 'ignore'],
    env: { ...childEnv(), ...stores.envFor('widgets') }
  })
  let out = ''
  parent.stdout?.on('data', (chunk) => {
    out += chunk
  })
  await waitFor(() => /pid \d+\n/.test(out))
  const pid = Number(/pid (\d+)/.exec(out)?.[1])
  const alive = () => {
    try {
      return process.kill(pid, 0)
    } catch {
      return false
    }
  }
  t.ok(alive())
  parent.kill('SIGKILL')
  await waitFor(() => !alive())
})
