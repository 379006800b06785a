import t from 'tap'
import { type Checks, createMetrics, type OpsDocument, type Readiness, runChecks, startOps } from '../src/index.ts'

t.test('readiness tells every reason at once', async (t) => {
  const checks: Checks = {
    database: () => Promise.reject(new Error('no primary')),
    consumers: () => {
      throw new Error('not attached')
    },
    nats: () => undefined
  }
  t.same(await runChecks(checks), { ready: false, reasons: { database: 'no primary', consumers: 'not attached' } })
  t.same(await runChecks({}), { ready: true, reasons: {} })
})

t.test('a check that never answers is a reason too', async (t) => {
  const result = await runChecks({ slow: () => new Promise(() => undefined), fine: () => undefined }, 50)
  t.same(result, { ready: false, reasons: { slow: 'no answer within 50 ms' } })
})

t.test('the operations port', async (t) => {
  const metrics = createMetrics({ service: 'widgets', instance: '1' })
  metrics.counter('widgets_made_total', 'Widgets made.', ['kind']).inc({ kind: 'big' }, 2)
  metrics.counter('widgets_made_total', 'Widgets made.', ['kind']).inc({ kind: 'big' })
  metrics.gauge('widgets_left', 'Read at the scrape.', [], (gauge) => gauge.set(7))
  metrics.histogram('widgets_seconds', 'Time.', [], [1, 2]).observe(1.5)
  const observe = metrics.route('GET', '/v1/widgets')
  for (const seconds of [0.001, 0.0011, 30]) observe(200, seconds)

  let ready = false
  let document: OpsDocument | undefined
  let events: OpsDocument | undefined
  const ops = await startOps({
    host: '127.0.0.1',
    port: 0,
    metrics,
    readiness: async (): Promise<Readiness> => ({ ready, reasons: ready ? {} : { start: 'starting' } }),
    document: () => document,
    events: () => events
  })
  t.teardown(() => ops.close())
  const get = (path: string, init?: RequestInit) => fetch(ops.url + path, init)

  t.equal((await get('/livez')).status, 200)
  const notReady = await get('/readyz')
  t.equal(notReady.status, 503)
  t.same(await notReady.json(), { ready: false, reasons: { start: 'starting' } })
  ready = true
  t.equal((await get('/readyz')).status, 200)
  t.equal((await get('/nothing')).status, 404)
  t.equal((await get('/livez', { method: 'POST' })).status, 405)

  t.equal((await get('/openapi.json')).status, 404, 'no document yet')
  document = { body: '{"openapi":"3.1.1"}', etag: '"abc"' }
  const told = await get('/openapi.json')
  t.equal(told.status, 200)
  t.equal(told.headers.get('etag'), '"abc"')
  t.equal(await told.text(), document.body)
  t.equal((await get('/openapi.json', { headers: { 'if-none-match': 'W/"abc"' } })).status, 304)
  t.equal(await (await get('/openapi.json', { method: 'HEAD' })).text(), '')

  t.equal((await get('/asyncapi.json')).status, 404, 'no events yet')
  events = { body: '{"asyncapi":"3.0.0"}', etag: '"def"' }
  t.equal(await (await get('/asyncapi.json')).text(), events.body)
  t.equal((await get('/asyncapi.json', { headers: { 'if-none-match': '"def"' } })).status, 304)

  const answer = await get('/metrics')
  t.match(answer.headers.get('content-type'), /^text\/plain; version=0\.0\.4/)
  const text = await answer.text()
  const labels = 'service="widgets",instance="1"'
  const route = 'method="GET",route="/v1/widgets",status="200"'
  for (const line of [
    `widgets_made_total{kind="big",${labels}} 3`,
    `widgets_left{${labels}} 7`,
    '# TYPE skerry_http_request_duration_seconds histogram',
    `skerry_http_request_duration_seconds_bucket{${route},le="0.001",${labels}} 1`,
    `skerry_http_request_duration_seconds_bucket{${route},le="0.0025",${labels}} 2`,
    `skerry_http_request_duration_seconds_bucket{${route},le="10",${labels}} 2`,
    `skerry_http_request_duration_seconds_bucket{${route},le="+Inf",${labels}} 3`,
    `skerry_http_request_duration_seconds_count{${route},${labels}} 3`
  ]) {
    t.ok(text.includes(`${line}\n`) || text.endsWith(line), line)
  }
  t.ok(text.match(/widgets_seconds_count\{/))
  metrics.registry.resetMetrics()
  t.notMatch(await metrics.text(), /skerry_http_request_duration_seconds_count/)
  observe(200, 1)
  t.match(await metrics.text(), /skerry_http_request_duration_seconds_count\{.*\} 1/)
})
