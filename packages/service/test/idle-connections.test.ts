import { once } from 'node:events'
import { createServer, type ServerResponse } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { waitFor } from '@skerry/testing'
import t, { type Test } from 'tap'
import { keepIdleConnections } from '../src/idle-connections.ts'

// Each has a server of its own, and waits for what Node closes by the second.
t.jobs = 3

/** A server that is leaving: it says so with every answer, and answers `/held` when its test does. */
async function startServer(t: Test, keptMs: number) {
  const state = { draining: false, held: [] as ServerResponse[], closed: false, connections: 0 }
  const server = createServer({ headersTimeout: 1_000, connectionsCheckingInterval: 50 }, (request, response) => {
    if (state.draining) response.setHeader('connection', 'close')
    if (request.url === '/held') state.held.push(response)
    else response.end('ok')
  })
  keepIdleConnections(server, { draining: () => state.draining, keptMs })
  server.on('connection', () => state.connections++)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.closeAllConnections())
  const { port } = server.address() as AddressInfo
  /** A connection that the server has, and what has come back on it. */
  const open = async () => {
    const before = state.connections
    const socket = connect(port, '127.0.0.1')
    t.teardown(() => socket.destroy())
    let text = ''
    socket.on('data', (chunk) => {
      text += chunk
    })
    const closed = once(socket, 'close')
    await waitFor(() => state.connections > before)
    const answers = () => text.split('HTTP/1.1 200').length - 1
    const ask = async () => {
      const had = answers()
      socket.write('GET / HTTP/1.1\r\nhost: x\r\n\r\n')
      await waitFor(() => answers() > had)
    }
    return { socket, closed, ask, text: () => text }
  }
  const leave = () => {
    state.draining = true
    return new Promise<void>((resolve) => {
      server.close(() => {
        state.closed = true
        resolve()
      })
    })
  }
  return { state, open, leave, port }
}

t.test('a connection that is kept alive gets its next request answered, and then ends', async (t) => {
  const { state, open, leave, port } = await startServer(t, 600_000)
  const [used, idle] = [await open(), await open()]
  await used.ask()
  await idle.ask()
  const left = leave()
  await t.rejects(once(connect(port, '127.0.0.1'), 'connect'), { code: 'ECONNREFUSED' }, 'nobody new comes in')
  await used.ask()
  t.match(used.text(), /connection: close/i)
  await used.closed
  t.notOk(state.closed, 'the other one has not asked yet')
  await idle.ask()
  await idle.closed
  await left
})

t.test('what stays idle, silent or incomplete is closed after that; a request under way is finished', async (t) => {
  const { state, open, leave } = await startServer(t, 0)
  const [busy, idle, silent, incomplete] = [await open(), await open(), await open(), await open()]
  busy.socket.write('GET /held HTTP/1.1\r\nhost: x\r\n\r\n')
  await idle.ask()
  incomplete.socket.write('GET / HT')
  await waitFor(() => state.held.length === 1)
  const left = leave()
  await Promise.all([idle.closed, silent.closed, incomplete.closed])
  t.match(incomplete.text(), /^HTTP\/1.1 408/)
  t.notOk(state.closed)
  state.held[0]!.end('late')
  await busy.closed
  t.match(busy.text(), /^HTTP\/1.1 200[\s\S]*late/)
  await left
})

t.test('who has just connected gets the first request answered', async (t) => {
  const { open, leave } = await startServer(t, 0)
  const [fresh, kept] = [await open(), await open()]
  await kept.ask()
  const left = leave()
  // Kept ones wait with those that may still begin.
  await fresh.ask()
  await fresh.closed
  t.match(fresh.text(), /connection: close/i)
  await kept.closed
  await left
})
