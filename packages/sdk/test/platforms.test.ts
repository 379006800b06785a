import { execFile } from 'node:child_process'
import type { ServerResponse } from 'node:http'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t, { type Test } from 'tap'
import { WebSocketServer } from 'ws'
import { grant, serve } from './server.ts'

const SDK = join(import.meta.dirname, '..')
const env = { ...process.env, NODE_OPTIONS: '', PATH: `${join(SDK, '../../node_modules/.bin')}:${process.env.PATH}` }
const run = promisify(execFile)
const ID = '06b1n7v4kc0j5m3q8w2x9y6z1a'
const message = (id: string) => ({ id, type: 'post.created', data: { postId: ID } })

/** Sends a first message to each stream, and the second when the first was liked. */
async function phoneServer(t: Test) {
  let second = () => {}
  const server = await serve(t, ({ method, path }) => {
    if (path === '/v1/auth/login') return { status: 200, body: grant(1) }
    if (path === '/v1/live') return { stream: sse }
    if (path.endsWith('/hang')) return 'hang'
    if (method === 'PUT') second()
    if (method === 'PUT' || path === '/v1/auth/logout') return { status: 204 }
    return path === '/v1/feed'
      ? { status: 200, body: { items: [{ id: ID }], nextCursor: null } }
      : { status: 201, body: { id: ID } }
  })
  function sse(response: ServerResponse) {
    const send = (id: string) => {
      const { type, data } = message(id)
      response.write(`id: ${id}\nevent: ${type}\ndata: ${JSON.stringify(data)}\n\n`)
    }
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    send('a')
    second = () => send('b')
  }
  const sockets = new WebSocketServer({ server: server.server })
  const tokens: unknown[] = []
  sockets.on('connection', (socket, { headers }) => {
    tokens.push(headers.authorization ?? headers['sec-websocket-protocol'])
    socket.send(JSON.stringify(message('a')))
    second = () => socket.send(JSON.stringify(message('b')))
  })
  t.teardown(() => {
    for (const client of sockets.clients) client.terminate()
    sockets.close()
  })
  return { url: server.url, tokens }
}

const dist = t.testdir()
await run('tsc', ['-p', join(SDK, 'tsconfig.build.json'), '--outDir', dist, '--checkers', '1'], { env })
await run(process.execPath, [join(SDK, 'build/link-contracts.ts'), dist], { env })

async function reportsOf(platform: string, url: string): Promise<Record<string, unknown>> {
  const main = join(import.meta.dirname, 'sandbox/run.ts')
  const flags = ['--experimental-vm-modules', '--no-warnings']
  const { stdout } = await run(process.execPath, [...flags, main, dist, platform, url], { env, timeout: 120_000 })
  return Object.assign({}, ...(JSON.parse(stdout) as object[]))
}

const COMMON = {
  signal: [],
  created: ID,
  current: 'ada',
  listed: 1,
  aborted: 'AbortError',
  later: 'AbortError',
  late: [true, true],
  websocket: { states: ['connecting', 'open', 'closed'], ids: ['a', 'b'] },
  auto: { states: ['connecting', 'open', 'closed'], ids: ['a', 'b'] },
  iterated: ['a'],
  out: null
}

t.test('React Native 0.74 to 0.86', async (t) => {
  const { url, tokens } = await phoneServer(t)
  t.same(await reportsOf('react-native', url), {
    ...COMMON,
    has: ['XMLHttpRequest'],
    sse: { states: ['connecting', 'closed'], ids: [], error: 'TypeError' }
  })
  t.same(tokens, ['Bearer access-1', 'Bearer access-1', 'Bearer access-1'], 'auto, websocket and the iterator')
})

t.test('Safari 15', async (t) => {
  const { url, tokens } = await phoneServer(t)
  t.same(await reportsOf('safari-15', url), {
    ...COMMON,
    has: ['TextDecoder', 'ReadableStream', 'DOMException'],
    sse: { states: ['connecting', 'open', 'closed'], ids: ['a', 'b'] }
  })
  t.match(tokens, [/skerry\.bearer\.access-1$/], 'as a subprotocol')
  t.equal(tokens.length, 1, 'auto is server-sent events')
})
