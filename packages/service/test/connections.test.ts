import { once } from 'node:events'
import { createServer, type ServerResponse } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { waitFor } from '@skerry/testing'
import t, { type Test } from 'tap'
import { followConnections } from '../src/index.ts'

/** A server that answers `/held` when its test says so, and what `draining` adds to every answer. */
async function startServer(t: Test) {
  const state = { draining: false, held: [] as ServerResponse[] }
  const server = createServer({ headersTimeout: 1_000, connectionsCheckingInterval: 50 }, (request, response) => {
    if (state.draining) response.setHeader('connection', 'close')
    if (request.url === '/held') state.held.push(response)
    else response.end('ok')
  })
  const connections = followConnections(server)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  /** A connection and what has come back on it. */
  const open = async () => {
    const socket = connect(port, '127.0.0.1')
    t.teardown(() => socket.destroy())
    await once(socket, 'connect')
    let text = ''
    socket.on('data', (chunk) => {
      text += chunk
    })
    const closed = once(socket, 'close')
    return {
      socket,
      closed,
      text: () => text,
      async ask(path = '/') {
        const before = text.split('HTTP/1.1 200').length
        socket.write(`GET ${path} HTTP/1.1\r\nhost: x\r\n\r\n`)
        await waitFor(() => text.split('HTTP/1.1 200').length > before)
      }
    }
  }
  return { server, state, connections, open, port }
}

t.test('a connection that is kept alive gets its next request answered, and then ends', async (t) => {
  const { state, connections, open, port } = await startServer(t)
  const [used, idle] = [await open(), await open()]
  await used.ask()
  await idle.ask()
  state.draining = true
  let ended = false
  const end = connections.end(600_000).then(() => {
    ended = true
  })
  await t.rejects(once(connect(port, '127.0.0.1'), 'connect'), { code: 'ECONNREFUSED' }, 'nobody new comes in')
  await used.ask()
  t.match(used.text(), /connection: close/i)
  await used.closed
  t.notOk(ended, 'the other one has not asked yet')
  await idle.ask()
  await idle.closed
  await end
})

t.test('what stays idle, silent or incomplete is closed after the wait; a request under way is finished', async (t) => {
  const { state, connections, open } = await startServer(t)
  const [busy, idle, silent, incomplete] = [await open(), await open(), await open(), await open()]
  busy.socket.write('GET /held HTTP/1.1\r\nhost: x\r\n\r\n')
  await idle.ask()
  incomplete.socket.write('GET / HT')
  await waitFor(() => state.held.length === 1 && connections.size === 4)
  state.draining = true
  let ended = false
  const end = connections.end(0).then(() => {
    ended = true
  })
  await Promise.all([idle.closed, silent.closed, incomplete.closed])
  t.match(incomplete.text(), /^HTTP\/1.1 408/)
  t.notOk(ended)
  state.held[0]!.end('late')
  await busy.closed
  t.match(busy.text(), /^HTTP\/1.1 200[\s\S]*late/)
  await end
})

t.test('who has just connected gets the first request answered', async (t) => {
  const { state, connections, open } = await startServer(t)
  const [fresh, kept] = [await open(), await open()]
  await kept.ask()
  await waitFor(() => connections.size === 2)
  state.draining = true
  const end = connections.end(0)
  await fresh.ask()
  await fresh.closed
  t.match(fresh.text(), /connection: close/i)
  await kept.closed
  await end
})

t.test('a server that never listened, or that nobody has connected to, ends at once', async (t) => {
  const { connections } = await startServer(t)
  await connections.end(600_000)
  await followConnections(createServer()).end(600_000)
  t.equal(connections.size, 0)
})
