import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { Agent, request as httpRequest, type IncomingMessage } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { Readable, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { defineRoute, rulesOf, SkerryError, Strict } from '@skerry/contracts'
import { waitFor } from '@skerry/testing'
import t from 'tap'
import Type from 'typebox'
import { route } from '../src/index.ts'
import { createServer } from './support/server.ts'

const common = { tag: 'files', summary: 'For tests.', errors: [], auth: 'none', body: 'stream' } as const
const params = Strict({ id: Type.String({ pattern: '^[a-z]+$' }) })
const upload = defineRoute({
  ...{ ...common, method: 'PUT', path: '/v1/files/:id', params, bodyLimit: 200_000 },
  response: { 201: Type.Object({ bytes: Type.Integer(), sha256: Type.String() }) }
})
const download = defineRoute({
  ...{ ...common, method: 'GET', path: '/v1/files/:id', params, responseType: 'video/mp4' },
  response: { 200: null }
})

const note = defineRoute({
  ...{ ...common, method: 'PUT', path: '/v1/notes', body: Strict({}) },
  response: { 204: null }
})

t.test('a route whose bodies are streams', async (t) => {
  const { app } = createServer(t, { config: { REQUEST_TIMEOUT_MS: '200' } })
  const failed: string[] = []
  let inHand = 0
  route(app, upload, async ({ params: { id }, body }) => {
    if (id === 'refused') throw new SkerryError('FORBIDDEN')
    const hash = createHash('sha256')
    let bytes = 0
    const sink = new Writable({
      write(part: Buffer, _encoding, done) {
        bytes += part.length
        inHand = bytes
        hash.update(part)
        done(id === 'full' ? new SkerryError('UNAVAILABLE') : null)
      }
    })
    await pipeline(body, sink).catch((error: Error) => {
      failed.push(error.message)
      throw error
    })
    return { bytes, sha256: hash.digest('hex') }
  })
  route(app, download, ({ params: { id }, reply }) => {
    reply.header('content-length', '6')
    return Readable.from([Buffer.from('abc'), Buffer.from(id.slice(0, 3))])
  })
  route(app, note, () => undefined)
  await app.listen({ port: 0 })
  const { port } = app.server.address() as AddressInfo
  const url = `http://127.0.0.1:${port}/v1/files`
  const bytes = Buffer.alloc(150_000, 'x')
  const sha256 = createHash('sha256').update(bytes).digest('hex')
  const put = (id: string, body: RequestInit['body'], headers: Record<string, string> = {}) =>
    fetch(`${url}/${id}`, { method: 'PUT', body, headers, duplex: 'half' } as RequestInit)
  const chunked = (data: Uint8Array) => new Blob([data as never]).stream()

  t.test('takes bytes of any type, with a length and in chunks, and answers JSON', async (t) => {
    for (const type of ['image/png', 'application/json', '']) {
      const headers: Record<string, string> = type === '' ? {} : { 'content-type': type }
      for (const body of [bytes, chunked(bytes)]) {
        const answer = await put('a', body, headers)
        t.equal(answer.status, 201)
        t.same(await answer.json(), { bytes: 150_000, sha256 })
      }
    }
    t.same(await (await put('a', '')).json(), { bytes: 0, sha256: createHash('sha256').digest('hex') })
  })

  t.test(
    'refuses what is too large, with a length before a byte of it, and what does not fit the contract',
    async (t) => {
      t.equal((await put('a', Buffer.alloc(200_001))).status, 413)
      t.equal((await put('a', chunked(Buffer.alloc(400_000)))).status, 413)
      t.equal((await put('A', bytes)).status, 400)
      t.equal((await put('refused', bytes)).status, 403, 'and a handler that reads nothing is heard')
      t.equal((await put('full', bytes)).status, 503, 'as is one whose pipeline has failed')
    }
  )

  t.test('answers bytes, also to HEAD', async (t) => {
    const answer = await fetch(`${url}/def`)
    t.equal(answer.headers.get('content-type'), 'video/mp4')
    t.equal(answer.headers.get('content-length'), '6')
    t.equal(await answer.text(), 'abcdef')
    t.equal((await fetch(`${url}/def`, { method: 'HEAD' })).headers.get('content-length'), '6')
  })

  t.test('asks a client that waits for its body when it is read, and never for what it refuses', async (t) => {
    const say = (bytes: string) => {
      const socket = connect(port, '127.0.0.1')
      t.teardown(() => socket.destroy())
      let heard = ''
      socket.on('data', (chunk) => {
        heard += chunk.toString('latin1')
      })
      socket.write(bytes)
      return { socket, heard: () => heard }
    }
    const head = (path: string, length: number) =>
      `PUT ${path} HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: ${length}\r\n\r\n`
    const taken = say(head('/v1/files/a', 3))
    await waitFor(() => taken.heard().endsWith('\r\n\r\n'))
    t.equal(taken.heard(), 'HTTP/1.1 100 Continue\r\n\r\n')
    taken.socket.write('abc')
    await waitFor(() => taken.heard().includes('"bytes":3'))
    for (const [bytes, status] of [
      [head('/v1/files/refused', 3), 403],
      [head('/v1/files/a', 200_001), 413],
      [head('/v1/files/A', 3), 400],
      [head('/v1/nowhere', 3), 404]
    ] as const) {
      const refused = say(bytes)
      await waitFor(() => refused.heard().includes('\r\n\r\n{'))
      t.match(refused.heard(), new RegExp(`^HTTP/1\\.1 ${status} `))
    }
    const whole = say(head('/v1/notes', 2).replace('host: x', 'host: x\r\ncontent-type: application/json'))
    await waitFor(() => whole.heard() !== '')
    t.match(whole.heard(), /^HTTP\/1\.1 100 /, 'JSON bodies are asked for at once')
  })

  t.test('leaves its connection the idle time of any other', async (t) => {
    const sockets: Socket[] = []
    const keep = (socket: Socket) => sockets.push(socket)
    app.server.on('connection', keep)
    t.teardown(() => app.server.off('connection', keep))
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    t.teardown(() => agent.destroy())
    const ask = async (path: string, headers: Record<string, string>, body: string) => {
      const asking = httpRequest(`http://127.0.0.1:${port}${path}`, { method: 'PUT', agent, headers })
      const answered = once(asking, 'response')
      asking.end(body)
      const [answer] = (await answered) as [IncomingMessage]
      await once(answer.resume(), 'close')
      return answer.statusCode
    }
    t.equal(await ask('/v1/notes', { 'content-type': 'application/json' }, '{}'), 204)
    const usual = sockets[0]!.timeout
    t.ok(usual! > 0)
    t.equal(await ask('/v1/files/a', {}, 'abc'), 201)
    t.equal(await ask('/v1/files/a', {}, 'abc'), 201)
    t.equal(sockets.length, 1)
    t.equal(sockets[0]!.timeout, usual)
  })

  t.test('may take longer than whole requests may; one that breaks off fails', async (t) => {
    const slow = httpRequest(`${url}/a`, { method: 'PUT', headers: { 'content-length': 4 } })
    const answered = once(slow, 'response')
    slow.write('ab')
    // Longer than the time of whole requests, and than the look for late ones.
    await new Promise((resolve) => setTimeout(resolve, 1_000))
    slow.end('cd')
    const [answer] = await answered
    t.equal(answer.statusCode, 201)
    answer.resume()

    failed.length = 0
    inHand = 0
    const socket = connect(port, '127.0.0.1')
    socket.write('PUT /v1/files/a HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nabc')
    await waitFor(() => inHand === 3)
    socket.destroy()
    await waitFor(() => failed.length === 1)
    t.match(failed[0], /broke off|aborted/)
  })
})

t.test('rules and refusals', async (t) => {
  t.same(rulesOf([upload])[0], {
    ...{ method: 'PUT', path: '/v1/files/:id', auth: 'none', body: 'stream', bodyLimit: 200_000 }
  })
  const { app } = createServer(t)
  const repeated = defineRoute({ ...upload, idempotent: true })
  t.throws(() => route(app, repeated, () => ({ bytes: 0, sha256: '' })), /neither repeated/)
  const bounded = defineRoute({ ...note, bodyLimit: 1_000 })
  t.throws(() => route(app, bounded, () => undefined), /bodyLimit is of streamed bodies/)
})
