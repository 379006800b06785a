import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { connect, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect as connectTls } from 'node:tls'
import { waitFor } from '@skerry/testing'
import t from 'tap'
import { certificateFiles, openSession } from './helpers/clients.ts'
import { startListener } from './helpers/listener.ts'

const GET = 'GET /v1/x HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n'

/** The end of a connection, however it ends. */
const closeOf = (socket: Socket) => new Promise((resolve) => socket.once('close', resolve))

t.test('a connection of nobody knows whom is ended and not served', async (t) => {
  let served = 0
  const { listener } = await startListener(t, {
    handler: (_request, response) => {
      served++
      response.end('{}')
    }
  })
  // As one that was reset before it was taken: sockets of this kind have no address.
  const folder = await mkdtemp(join(tmpdir(), 'skerry-address-'))
  t.teardown(() => rm(folder, { recursive: true }))
  const path = join(folder, 'socket')
  const taken: Socket[] = []
  const server = createServer((socket) => {
    taken.push(socket)
    listener.server.emit('connection', socket)
  }).listen(path)
  await once(server, 'listening')
  t.teardown(() => server.close())
  const client = connect(path)
  client.on('error', () => client.destroy())
  const closed = closeOf(client)
  let answer = ''
  client.on('data', (part) => {
    answer += part
  })
  client.write(GET)
  await closed
  t.equal(answer, '')
  t.equal(served, 0)
  t.ok(taken[0]!.destroyed)
})

t.test('a connection has its address also when it is over', async (t) => {
  const { files, write } = await certificateFiles(t)
  const { cert } = await write('localhost')
  const seen: (string | undefined)[] = []
  const { port } = await startListener(t, {
    env: { ...files, TLS_ONLY: 'false' },
    takesPlain: (target) => target === '/v1/plain',
    handler: ({ socket }) => {
      socket.destroy()
      seen.push(socket.remoteAddress)
    }
  })
  const expected = ['127.0.0.1']
  for (const text of [GET, GET.replace('/v1/x', '/v1/plain')]) {
    const client = connect(port, '127.0.0.1')
    client.on('error', () => client.destroy())
    client.write(text)
    await closeOf(client)
    t.strictSame(seen.splice(0), expected, text.slice(0, 14))
  }
  const client = connectTls({ port, host: '127.0.0.1', ca: cert, servername: 'localhost' })
  client.on('error', () => client.destroy())
  client.write(GET)
  await closeOf(client)
  t.strictSame(seen.splice(0), expected, 'TLS')
  // Over HTTP/2 a request may only look at its connection.
  const { port: other } = await startListener(t, {
    handler: ({ socket }, response) => {
      seen.push(socket.remoteAddress)
      response.end()
    }
  })
  const session = openSession(t, `http://127.0.0.1:${other}`)
  session.request({ ':path': '/v1/x' }).resume().end()
  await waitFor(() => seen.length === 1)
  t.strictSame(seen.splice(0), expected, 'HTTP/2')
})
