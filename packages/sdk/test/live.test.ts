import type { ServerResponse } from 'node:http'
import type { LiveMessage } from '@skerry/contracts'
import t from 'tap'
import { createClient, type LiveState } from '../src/index.ts'
import { grant, problem, type Reply, type Seen, serve, until } from './server.ts'

type Script = (response: ServerResponse) => void

/** The replies to one connection after the other; the last one is repeated. */
function connections(...replies: (Script | Reply)[]) {
  let n = 0
  return (request: Seen): Reply => {
    if (request.path === '/v1/auth/login') return { status: 200, body: grant(1) }
    if (request.path === '/v1/auth/refresh') return { status: 200, body: grant(2) }
    const reply = replies[Math.min(n++, replies.length - 1)] ?? 'drop'
    if (typeof reply !== 'function') return reply
    return {
      stream(response) {
        response.writeHead(200, { 'content-type': 'text/event-stream' })
        response.write('retry: 5\n\n')
        reply(response)
      }
    }
  }
}

const event = (id: string, type = 'post.created', data: object = { id }) =>
  `id: ${id}\nevent: ${type}\ndata: ${JSON.stringify(data)}\n\n`

t.test('delivers in order, resumes after a drop with Last-Event-ID, drops what comes twice', async (t) => {
  const server = await serve(
    t,
    connections(
      (r) => {
        r.write(event('a'))
        const cut = Buffer.from(event('b', 'comment.created', { text: 'é' }))
        r.write(cut.subarray(0, cut.indexOf(0xc3) + 1)) // in the middle of a character
        setTimeout(() => r.write(cut.subarray(cut.indexOf(0xc3) + 1), () => r.destroy()), 10)
      },
      (r) => r.write('id: place\n\n', () => r.destroy()),
      'drop',
      (r) => r.write(event('b') + event('c'))
    )
  )
  const client = createClient({ baseUrl: server.url })
  await client.auth.login({ login: 'ada', password: 'x' })
  const got: LiveMessage[] = []
  const live = client.live({ onMessage: (m) => void got.push(m) })
  await until(() => got.length === 3, 'three messages')
  t.same(
    got.map((m) => m.id),
    ['a', 'b', 'c']
  )
  t.same(got[1], { id: 'b', type: 'comment.created', data: { text: 'é' } })
  t.equal(server.at('/v1/live')[0]?.headers.authorization, 'Bearer access-1')
  t.equal(server.at('/v1/live')[0]?.headers['last-event-id'], undefined)
  t.same(
    server.at('/v1/live').map((s) => s.headers['last-event-id']),
    [undefined, 'b', 'place', 'place'],
    'an id without data moves the place'
  )
  t.equal(live.lastEventId, 'c')
  live.close()
  await live.closed
})

t.test('resync is surfaced, also when its id was seen', async (t) => {
  const server = await serve(
    t,
    connections((r) => r.write(event('a') + event('a', 'resync', {}) + event('b')))
  )
  const client = createClient({ baseUrl: server.url })
  const got: string[] = []
  const live = client.live({
    lastEventId: 'old',
    onMessage: (m) => void got.push(m.type),
    onResync: () => void got.push('RESYNC')
  })
  await until(() => got.length === 3, 'three messages')
  t.same(got, ['post.created', 'RESYNC', 'post.created'])
  t.equal(server.seen[0]?.headers['last-event-id'], 'old')
  live.close()
  await live.closed
})

t.test('as an async iterator; breaking out closes the connection', async (t) => {
  let closed = false
  const server = await serve(
    t,
    connections((r) => {
      r.on('close', () => (closed = true))
      r.write(event('a') + event('b'))
    })
  )
  const ids: (string | null)[] = []
  for await (const message of createClient({ baseUrl: server.url }).live()) {
    ids.push(message.id)
    if (ids.length === 2) break
  }
  t.same(ids, ['a', 'b'])
  await until(() => closed, 'the connection is closed')
})

t.test('a refused token is renewed; a session that is over ends the stream', async (t) => {
  const server = await serve(
    t,
    connections(problem(401, 'TOKEN_EXPIRED'), (r) => r.write(event('a')))
  )
  const client = createClient({ baseUrl: server.url })
  await client.auth.login({ login: 'ada', password: 'x' })
  for await (const _ of client.live()) break
  t.equal(server.at('/v1/live')[1]?.headers.authorization, 'Bearer access-2')

  const none = await serve(t, () => problem(401, 'UNAUTHENTICATED'))
  const errors: unknown[] = []
  const live = createClient({ baseUrl: none.url }).live({ onMessage: () => {}, onError: (e) => errors.push(e) })
  await live.closed
  t.match(errors, [{ code: 'UNAUTHENTICATED' }])
  t.equal(none.seen.length, 1)
})

t.test('a silent connection is left for a new one; 503 is waited out; states are told', async (t) => {
  const server = await serve(
    t,
    connections(
      () => {},
      problem(503, 'UNAVAILABLE'),
      (r) => r.write(event('a'))
    )
  )
  const states: LiveState[] = []
  const client = createClient({ baseUrl: server.url })
  const stop = new AbortController()
  for await (const message of client.live({
    idleTimeoutMs: 2_000,
    signal: stop.signal,
    onState: (s) => states.push(s)
  })) {
    t.equal(message.id, 'a')
    stop.abort()
  }
  t.same(states, ['connecting', 'open', 'waiting', 'connecting', 'waiting', 'connecting', 'open', 'closed'])
})

t.test('a refusal that no reconnect can mend is thrown', async (t) => {
  const server = await serve(t, () => problem(400, 'BAD_REQUEST'))
  await t.rejects(
    async () => {
      for await (const _ of createClient({ baseUrl: server.url }).live({ lastEventId: '?' }));
    },
    { code: 'BAD_REQUEST' }
  )
})

t.test('the next message waits for a handler that is at work', async (t) => {
  const server = await serve(
    t,
    connections((r) => r.write(event('a') + event('b')))
  )
  const log: string[] = []
  const live = createClient({ baseUrl: server.url }).live({
    async onMessage(m) {
      log.push(`${m.id} in`)
      await new Promise((resolve) => setTimeout(resolve, 20))
      log.push(`${m.id} out`)
    }
  })
  await until(() => log.length === 4, 'both handled')
  t.same(log, ['a in', 'a out', 'b in', 'b out'])
  live.close()
  await live.closed
})
