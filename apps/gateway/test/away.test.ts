import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { waitFor } from '@skerry/testing'
import t from 'tap'
import { startOrigin } from './helpers/origin.ts'
import { startProcess } from './helpers/processes.ts'

// What a gateway does while an instance is away: ever less often, and one line for each change.

const ALONE = { PORT: '0', DRAIN_MS: '50', IDLE_KEPT_MS: '0', LIMIT_EXEMPT: '127.0.0.0/8', HEDGE_MIN_MS: '0' }
const linesOf = (output: string, text: string) => output.split('\n').filter((line) => line.includes(text)).length

t.test('one line when it is away, one when it is back', async (t) => {
  const server = createServer((_request, response) => response.end('back'))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  const gateway = await startProcess(t, '../../src/main.ts', {
    ...ALONE,
    ROUTES: `/feed=http://127.0.0.1:${port}`,
    EJECT_MS: '50',
    EJECT_LONGEST_MS: '1000',
    HEALTH_INTERVAL_MS: '50'
  })
  // Many pauses and many checks.
  for (let i = 0; i < 60; i++) {
    const answer = await fetch(`${gateway.url}/feed`)
    t.equal(answer.status, 503)
    await answer.arrayBuffer()
    await delay(50)
  }
  t.equal(linesOf(gateway.output(), 'upstream ejected'), 1)
  t.equal(linesOf(gateway.output(), 'upstream recovered'), 0)
  server.listen(port, '127.0.0.1')
  t.teardown(() => server.close())
  await waitFor(async () => (await fetch(`${gateway.url}/feed`)).status === 200)
  await waitFor(() => linesOf(gateway.output(), 'upstream recovered') === 1)
  t.equal(linesOf(gateway.output(), 'upstream ejected'), 1)
})

t.test('it is checked ever less often while it goes on failing', async (t) => {
  const checked: number[] = []
  let well = false
  const bad = await startOrigin(t, 'bad', (request, response) => {
    if (request.url !== '/readyz') return void response.end('bad')
    checked.push(performance.now())
    response.writeHead(well ? 200 : 503).end()
  })
  const good = await startOrigin(t, 'good', (_request, response) => response.end('good'))
  const gateway = await startProcess(t, '../../src/main.ts', {
    ...ALONE,
    ROUTES: `/feed=${bad.url},${good.url}`,
    EJECT_MS: '50',
    EJECT_LONGEST_MS: '3000',
    HEALTH_INTERVAL_MS: '100'
  })
  await waitFor(() => checked.length >= 6)
  const pauses = checked.slice(1).map((at, i) => at - checked[i]!)
  t.comment(pauses.map(Math.round).join(' '))
  t.ok(pauses[4]! >= 400, 'the sixth comes long after the fifth')
  for (let i = 0; i < 10; i++) t.equal(await (await fetch(`${gateway.url}/feed`)).text(), 'good')
  well = true
  await waitFor(async () => (await (await fetch(`${gateway.url}/feed`)).text()) === 'bad')
  const before = checked.length
  await waitFor(() => checked.length >= before + 3)
  t.pass('and as often as ever when it is well')
})
