import { createServer } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { waitFor } from '@skerry/testing'
import t from 'tap'
import { startProcess } from './helpers/processes.ts'

// Behind a request whose `Upgrade` is not followed Node's parser drops what the same read has brought. Whoever went on with the next read would
// take for a request what its client has sent as the body of one.

const ASKS = 'host: x\r\nconnection: upgrade\r\nupgrade: '
const REQUESTS: Readonly<Record<string, string>> = {
  'h2c, no body': `GET /x/first HTTP/1.1\r\n${ASKS}h2c\r\n\r\n`,
  'h2c, a length': `POST /x/first HTTP/1.1\r\n${ASKS}h2c\r\ncontent-length: 3\r\n\r\nabc`,
  'h2c, chunks': `POST /x/first HTTP/1.1\r\n${ASKS}h2c\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n`,
  'h2c, refused for its body': `HEAD /x/first HTTP/1.1\r\n${ASKS}h2c\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n`,
  'a WebSocket, refused for its body': `GET /x/first HTTP/1.1\r\n${ASKS}websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\ncontent-length: 3\r\n\r\nabc`,
  'a WebSocket, not a GET': `POST /x/first HTTP/1.1\r\n${ASKS}websocket\r\ncontent-length: 3\r\n\r\nabc`,
  'of the gateway itself': `GET /livez HTTP/1.1\r\n${ASKS}websocket\r\n\r\n`,
  'in other words': 'GET /x/first HTTP/1.1\r\nhost: x\r\nConnection: Keep-Alive, UPGRADE\r\nUpgrade: any/1\r\n\r\n'
}
const INSIDE = 'GET /x/inside HTTP/1.1\r\nhost: x\r\n\r\n'
const NEXT = `POST /x/next HTTP/1.1\r\nhost: x\r\ncontent-length: ${INSIDE.length}\r\n\r\n`

t.test('a request whose upgrade is not followed is the last of its connection', async (t) => {
  const seen: string[] = []
  const service = createServer((request, response) => {
    seen.push(request.url!)
    request.resume().once('end', () => response.end('done'))
  })
  await new Promise<void>((resolve) => service.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    service.closeAllConnections()
    service.close()
  })
  const gateway = await startProcess(t, '../../src/main.ts', {
    ...{ PORT: '0', DRAIN_MS: '0', IDLE_KEPT_MS: '0', LIMIT_EXEMPT: '127.0.0.1', HEALTH_INTERVAL_MS: '0' },
    ROUTES: `/x=http://127.0.0.1:${(service.address() as AddressInfo).port}`
  })
  const port = Number(new URL(gateway.url).port)

  /** Sends `first` in one write, and `second` when something was answered; resolves with all answers when the connection is over. */
  const converse = async (first: string, second: string): Promise<string> => {
    const socket = connect(port, '127.0.0.1')
    t.teardown(() => socket.destroy())
    let heard = ''
    socket.on('data', (part) => {
      heard += part.toString('latin1')
    })
    socket.on('error', () => socket.destroy())
    const closed = new Promise((resolve) => socket.once('close', resolve))
    socket.write(first)
    await waitFor(() => heard.includes('\r\n\r\n') || socket.destroyed)
    if (socket.writable) socket.write(second)
    await closed
    return heard
  }

  for (const [name, request] of Object.entries(REQUESTS)) {
    const heard = await converse(request + NEXT, INSIDE + INSIDE)
    t.match(heard, /^HTTP\/1\.1 (?:200|400) /, `${name}: is answered`)
    t.match(heard, /\r\nconnection: close\r\n/i, `${name}: is told that it is the last`)
    t.equal(heard.split('HTTP/1.1 ').length, 2, `${name}: nothing else is answered`)
    t.notOk(seen.includes('/x/inside'), `${name}: no body is taken for a request`)
    seen.length = 0
  }

  const heard = await converse(`GET /x/first HTTP/1.1\r\nhost: x\r\n\r\n${REQUESTS['h2c, a length']}${NEXT}`, INSIDE)
  t.equal(heard.split('HTTP/1.1 200').length, 3, 'also behind others')
  t.strictSame(seen, ['/x/first', '/x/first'])
})
