import t from 'tap'
import { startGateway } from './helpers/gateway.ts'
import { startUpstream } from './helpers/upstream.ts'

t.test('smoke', async (t) => {
  const g = await startGateway(t, { redis: true })
  const up = await startUpstream(t, g.nc, {})
  await g.live('content', 1)
  const r = await fetch(`${g.url}/v1/posts/1?x=1&y=%20`, {
    headers: { ...g.issuer.bearer(), 'x-user-id': 'evil', 'x-forwarded-for': '1.1.1.1' }
  })
  console.log(r.status, Object.fromEntries(r.headers), await r.text())
  console.log(up.requests[0]?.url, up.requests[0]?.headers)
  const p = await fetch(`${g.url}/v1/posts`, {
    method: 'POST',
    body: '{"a":1}',
    headers: { 'content-type': 'application/json' }
  })
  console.log(p.status, Object.fromEntries(p.headers), await p.text())
  const n = await fetch(`${g.url}/v1/nope`)
  console.log(n.status, Object.fromEntries(n.headers), await n.text())
  console.log(g.lines)
})
