import { once } from 'node:events'
import { createServer } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { waitFor } from '@skerry/testing'
import t from 'tap'
import { WebSocket, WebSocketServer } from 'ws'
import { startProcess } from './helpers/processes.ts'

t.test('a connection that is a WebSocket now, at a real gateway', async (t) => {
  const http = createServer((_request, response) => response.end('{}'))
  const server = new WebSocketServer({ server: http })
  await once(http.listen(0, '127.0.0.1'), 'listening')
  t.teardown(() => {
    for (const one of server.clients) one.terminate()
    http.closeAllConnections()
    http.close()
  })
  server.on('connection', (ws, request) => {
    ws.on('error', () => {})
    ws.on('message', (data) => ws.send(data))
    if (request.url === '/x/flood') for (let i = 0; i < 200; i++) ws.send(Buffer.alloc(100_000))
  })
  const gateway = await startProcess(t, '../../src/main.ts', {
    ...{ PORT: '0', DRAIN_MS: '0', IDLE_KEPT_MS: '0', LIMIT_EXEMPT: '127.0.0.1', HEALTH_INTERVAL_MS: '0' },
    ...{ KEEP_ALIVE_TIMEOUT_MS: '300', HEADERS_TIMEOUT_MS: '100', UNREAD_PERIOD_MS: '500' },
    ROUTES: `/x=http://127.0.0.1:${(http.address() as AddressInfo).port}`
  })
  const ws = new WebSocket(`${gateway.url.replace('http', 'ws')}/x/ws`)
  await once(ws, 'open')
  let closed = false
  ws.on('close', () => {
    closed = true
  })

  t.test('is not swept away with those that are kept alive', async (t) => {
    // An ordinary connection that is younger and as silent is ended, by the same look.
    const idle = connect(Number(new URL(gateway.url).port), '127.0.0.1')
    idle.resume().write('GET /x HTTP/1.1\r\nhost: x\r\n\r\n')
    await once(idle, 'close')
    t.notOk(closed)
    ws.send('still here')
    t.equal(String((await once(ws, 'message'))[0]), 'still here')
  })

  t.test('is ended when its client does not read', async (t) => {
    const deaf = new WebSocket(`${gateway.url.replace('http', 'ws')}/x/flood`)
    await once(deaf, 'open')
    deaf.pause()
    await waitFor(async () =>
      /^skerry_gateway_unread_total\{.*\} 1$/m.test(await (await fetch(`${gateway.ops}/metrics`)).text())
    )
    deaf.terminate()
    await waitFor(() => server.clients.size === 1)
    t.notOk(closed, 'others stay')
  })
})
