import { useStores, waitFor } from '@skerry/testing'
import t from 'tap'
import { startApp, watchTable } from './support/app-process.ts'

t.setTimeout(110_000)
const stores = await useStores(t)

t.test('a start that fails is one fatal line and exit code 1', async (t) => {
  const failing = startApp(t, stores, { TEST_MODE: 'fail' })
  t.equal(await failing.exited, 1)
  const fatal = failing.lines().filter((line) => line.level === 60)
  t.equal(fatal.length, 1)
  t.match(fatal, [{ msg: /cannot start/ }])
  t.notMatch(failing.out(), 'hunter2')

  const badConfig = startApp(t, stores, { PORT: 'x', NATS_URL: '' })
  t.equal(await badConfig.exited, 1)
  t.match(badConfig.lines(), [{ level: 60, msg: /^Bad configuration: .*PORT.*NATS_URL is missing/ }])
  t.equal(badConfig.lines().length, 1)
  t.equal(badConfig.err(), '')

  const { url } = await (async () => {
    const holder = startApp(t, stores)
    return holder.ready()
  })()
  const taken = startApp(t, stores, { PORT: new URL(url).port, SKERRY_INSTANCE: '2' })
  t.equal(await taken.exited, 1)
  t.match(
    taken.lines().find((line) => line.level === 60),
    { msg: /^port \d+ is in use: set PORT to another port/, err: undefined }
  )
})

t.test('an app that says more of itself than fits into a heartbeat does not start', async (t) => {
  const instances = await watchTable(t, stores)
  const app = startApp(t, stores, { TEST_MODE: 'huge', SKERRY_INSTANCE: 'huge' })
  t.equal(await app.exited, 1)
  t.match(
    app.lines().filter((line) => line.level === 60),
    [{ msg: /^cannot announce this instance: the rules of its 150 routes make \d+ bytes, and 49152 is the most$/ }]
  )
  t.notOk(instances().some((i) => i.instance === 'huge'))
})

t.test('not ready: says why, tells nobody, and stops when told', async (t) => {
  const instances = await watchTable(t, stores)
  const app = startApp(t, stores, { TEST_MODE: 'unready', SKERRY_INSTANCE: 'unready', START_TIMEOUT_MS: '8000' })
  let told = false
  app.child.on('message', () => {
    told = true
  })
  t.equal(await app.exited, 1, 'and gives up in bounded time')
  t.match(
    app.lines().find((line) => line.level === 60),
    { msg: /not ready within 8000 ms.*the database is away/ }
  )
  t.notOk(told)
  t.notOk(instances().some((i) => i.instance === 'unready'))
})

t.test('an end that hangs is cut off, an uncaught error ends in order with 1', async (t) => {
  const hanging = startApp(t, stores, { TEST_MODE: 'hang', SHUTDOWN_MS: '600' })
  await hanging.ready()
  hanging.child.kill('SIGTERM')
  t.equal(await hanging.exited, 1)
  t.match(hanging.lines().at(-1), { level: 60, msg: /shutdown timed out/ })

  const throwing = startApp(t, stores)
  const { url } = await throwing.ready()
  await fetch(`${url}/v1/widgets?q=throw`).then((answer) => answer.text())
  t.equal(await throwing.exited, 1)
  t.match(throwing.err(), /connections closed/)
  t.match(
    throwing.lines().find((line) => line.level === 60),
    { err: { type: 'SyntaxError' } }
  )
})

t.test('an app that goes on after an uncaught error tells and counts it, in bounded lines', async (t) => {
  const app = startApp(t, stores, { TEST_MODE: 'go on' })
  const { url, ops } = await app.ready()
  const ask = (q: string) => fetch(`${url}/v1/widgets?q=${q}`).then((answer) => answer.status)
  const told = () => app.lines().filter((line) => line.at === 'process')
  t.equal(await ask('throw'), 200)
  t.equal(await ask('reject'), 200)
  await waitFor(() => told().length === 2)
  t.match(told(), [
    { level: 50, err: { type: 'SyntaxError' } },
    { level: 50, err: { message: 'nobody listens' } }
  ])
  for (let i = 0; i < 100; i++) await ask('throw')
  const counted = async () =>
    /^skerry_faults_total\{.*at="process".*\} (\d+)$/m.exec(await (await fetch(`${ops}/metrics`)).text())
  await waitFor(async () => (await counted())?.[1] === '102')
  t.ok(told().length < 60, 'a flood of them is no flood of lines')
  t.equal(app.child.exitCode, null)
  app.child.kill('SIGTERM')
  t.equal(await app.exited, 0)
})
