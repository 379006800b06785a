import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import { waitFor } from '@skerry/testing'
import t from 'tap'
import { startGateway } from './helpers/gateway.ts'
import { startUpstream } from './helpers/upstream.ts'

const LIVE = { service: 'realtime', prefixes: ['/v1/live'] }

t.test('server-sent events', async (t) => {
  const g = await startGateway(t, { env: { UPSTREAM_CONNECTIONS: '2' } })
  const open: ServerResponse[] = []
  await startUpstream(t, g.nc, {
    ...LIVE,
    answer: (req, res) => {
      if (req.url === '/v1/live/other') return void res.end('{}')
      res.writeHead(200, { 'content-type': 'text/event-stream' })
      res.flushHeaders()
      open.push(res)
    }
  })
  await g.live('realtime', 1)

  t.test('pass at once, one by one', async (t) => {
    const headers = { ...g.issuer.bearer(), 'last-event-id': '41' }
    const answer = await fetch(`${g.url}/v1/live`, { headers })
    t.equal(answer.status, 200, 'the head comes before any event')
    const reader = answer.body!.pipeThrough(new TextDecoderStream()).getReader()
    for (let i = 0; i < 3; i++) {
      open[0]?.write(`id: ${i}\ndata: x\n\n`)
      t.equal((await reader.read()).value, `id: ${i}\ndata: x\n\n`)
    }
    t.match(await g.metrics.text(), /skerry_gateway_streams\{[^}]*\} 1/)
    const gone = once(open[0]!, 'close')
    await reader.cancel()
    await gone
    t.pass('and end at the service when the client leaves')
    await waitFor(async () => /skerry_gateway_streams\{[^}]*\} 0/.test(await g.metrics.text()))
  })

  t.test('do not take the connections of requests', async (t) => {
    const stop = new AbortController()
    const many = await Promise.all(
      Array.from({ length: 20 }, () => fetch(`${g.url}/v1/live`, { headers: g.issuer.bearer(), signal: stop.signal }))
    )
    t.ok(many.every((answer) => answer.status === 200))
    const other = await fetch(`${g.url}/v1/live/other`, { headers: g.issuer.bearer() })
    t.equal(await other.text(), '{}', 'ten times as many as requests may have, and a request is answered')
    stop.abort()
  })

  t.test('end when the gateway leaves', async (t) => {
    const answer = await fetch(`${g.url}/v1/live`, { headers: g.issuer.bearer() })
    const ended = answer.text()
    await g.gateway.app.close()
    t.equal(await ended, '', 'in good order')
  })
})
