import { type ChildProcess, fork, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { type TestStores, useStores, waitFor } from '@skerry/testing'
import t, { type Test } from 'tap'
import { connectNats, ensureBuckets, type Instance, watchRegistry } from '../src/index.ts'

const stores: TestStores = await useStores(t)
type Ready = { type: 'ready'; url: string; ops: string }

function start(t: Test, env: Record<string, string> = {}) {
  const child: ChildProcess = fork(join(import.meta.dirname, 'support/app.ts'), {
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    env: { PATH: process.env.PATH, ...stores.envFor('widgets'), DRAIN_MS: '200', ...env }
  })
  let out = ''
  let err = ''
  child.stdout?.on('data', (chunk) => {
    out += chunk
  })
  child.stderr?.on('data', (chunk) => {
    err += chunk
  })
  const exited = once(child, 'exit').then(([code]) => code as number | null)
  t.teardown(async () => {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL')
    await exited
  })
  return {
    child,
    exited,
    out: () => out,
    err: () => err,
    lines: () =>
      out
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as Record<string, unknown>),
    ready: () => once(child, 'message').then(([message]) => message as Ready)
  }
}

async function table(t: Test) {
  const nc = await connectNats({ ...stores.nats, name: 'test' })
  await ensureBuckets(nc)
  let instances: Instance[] = []
  const watch = await watchRegistry(nc, (all) => {
    instances = all
  })
  t.teardown(async () => {
    await watch.close()
    await nc.close()
  })
  return () => instances
}

t.test('an app starts, says that it is ready, is announced, serves, and stops in order', async (t) => {
  const instances = await table(t)
  const app = start(t, { SKERRY_INSTANCE: 'one', WEIGHT: '2' })
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

t.test('stopping one of two instances under keep-alive traffic loses no request', async (t) => {
  const instances = await table(t)
  const [one, two] = [start(t, { SKERRY_INSTANCE: 'one' }), start(t, { SKERRY_INSTANCE: 'two' })]
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
    const app = start(t, { DRAIN_MS: '300' })
    const { url, ops } = await app.ready()
    const slow = fetch(`${url}/v1/widgets?q=slow&limit=50`)
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
  const app = start(t)
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
    env: { PATH: process.env.PATH, ...stores.envFor('widgets') }
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

t.test('a start that fails is one fatal line and exit code 1', async (t) => {
  const failing = start(t, { TEST_MODE: 'fail' })
  t.equal(await failing.exited, 1)
  const fatal = failing.lines().filter((line) => line.level === 60)
  t.equal(fatal.length, 1)
  t.match(fatal, [{ msg: /cannot start/ }])
  t.notMatch(failing.out(), 'hunter2')

  const badConfig = start(t, { PORT: 'x', NATS_URL: '' })
  t.equal(await badConfig.exited, 1)
  t.match(badConfig.lines(), [{ level: 60, msg: /^Bad configuration: .*PORT.*NATS_URL is missing/ }])
  t.equal(badConfig.lines().length, 1)
  t.equal(badConfig.err(), '')

  const { url } = await (async () => {
    const holder = start(t)
    return holder.ready()
  })()
  const taken = start(t, { PORT: new URL(url).port, SKERRY_INSTANCE: '2' })
  t.equal(await taken.exited, 1)
  t.match(
    taken.lines().find((line) => line.level === 60),
    { msg: /EADDRINUSE/ }
  )
})

t.test('not ready: says why, tells nobody, and stops when told', async (t) => {
  const instances = await table(t)
  const app = start(t, { TEST_MODE: 'unready', SKERRY_INSTANCE: 'unready', START_TIMEOUT_MS: '1500' })
  let told = false
  app.child.on('message', () => {
    told = true
  })
  t.equal(await app.exited, 1, 'and gives up in bounded time')
  t.match(
    app.lines().find((line) => line.level === 60),
    { msg: /not ready within 1500 ms.*the database is away/ }
  )
  t.notOk(told)
  t.notOk(instances().some((i) => i.instance === 'unready'))
})

t.test('an end that hangs is cut off, an uncaught error ends in order with 1', async (t) => {
  const hanging = start(t, { TEST_MODE: 'hang', SHUTDOWN_MS: '600' })
  await hanging.ready()
  hanging.child.kill('SIGTERM')
  t.equal(await hanging.exited, 1)
  t.match(hanging.lines().at(-1), { level: 60, msg: /did not stop in time/ })

  const throwing = start(t)
  const { url } = await throwing.ready()
  await fetch(`${url}/v1/widgets?q=throw`).then((answer) => answer.text())
  t.equal(await throwing.exited, 1)
  t.match(throwing.err(), /connections closed/)
  t.match(
    throwing.lines().find((line) => line.level === 60),
    { err: { type: 'SyntaxError' } }
  )
})
