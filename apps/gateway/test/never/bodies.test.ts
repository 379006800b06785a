import type { RequestListener } from 'node:http'
import t from 'tap'
import { startBare } from '../helpers/bare.ts'
import { converse } from '../helpers/conversation.ts'
import { startGateway } from '../helpers/gateway.ts'
import { startUpstream } from '../helpers/upstream.ts'

const MIB = 1024 * 1024
const LARGE = 5 * MIB
/** More than all the buffers between a client and a service can hold. */
const ENDLESS = 200 * MIB
const CHUNK = 64 * 1024

type Body = (size: number) => { field: string; pieces: Buffer[] }

/** A body in one of the two ways in which HTTP/1.1 can say where it ends. */
const BODIES: Record<string, Body> = {
  announced: (size) => ({ field: `content-length: ${size}`, pieces: repeated(Buffer.alloc(CHUNK, 'x'), size) }),
  'in chunks': (size) => {
    const head = Buffer.from(`${CHUNK.toString(16)}\r\n`)
    const pieces = repeated(Buffer.concat([head, Buffer.alloc(CHUNK, 'x'), Buffer.from('\r\n')]), size)
    return { field: 'transfer-encoding: chunked', pieces: [...pieces, Buffer.from('0\r\n\r\n')] }
  }
}

function repeated(piece: Buffer, size: number): Buffer[] {
  return Array.from({ length: size / CHUNK }, () => piece)
}

/** A POST with a large body and behind it, on the same connection, a GET that was not told of anything. */
function postThenGet(path: string, { field, pieces }: ReturnType<Body>, more = ''): Buffer[] {
  return [
    Buffer.from(`POST ${path} HTTP/1.1\r\nhost: x\r\n${more}${field}\r\n\r\n`),
    ...pieces,
    Buffer.from('GET /v1/posts/next HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n')
  ]
}

const port = (url: string) => Number(new URL(url).port)

t.test('large bodies', async (t) => {
  const g = await startGateway(t, { env: { LIMIT_EXEMPT: '127.0.0.1', HEALTH_INTERVAL_MS: '0' } })
  /** Bytes of each body that a service got. */
  const taken: number[] = []
  const take: RequestListener = (request, response) => {
    let size = 0
    request.on('data', (chunk) => {
      size += chunk.length
    })
    request.on('end', () => {
      if (request.method === 'POST') taken.push(size)
      response.end('{}')
    })
  }
  await startUpstream(t, g.nc, { answer: take })
  const plain = await startUpstream(t, g.nc, { announced: false, answer: take })
  /** Says no before it has read anything. */
  const hasty = await startUpstream(t, g.nc, {
    announced: false,
    answer: (request, response) => {
      if (request.method === 'POST') response.writeHead(401).end('no')
      else response.end('{}')
    }
  })
  await g.live('content', 1)
  t.beforeEach(() => {
    taken.length = 0
  })

  for (const [how, bodyOf] of Object.entries(BODIES)) {
    const body = bodyOf(LARGE)
    t.test(`${how}, over the limit`, async (t) => {
      const { answers } = await converse(g.port, postThenGet('/v1/posts', body))
      t.equal(answers[0]?.status, 413)
      t.match(JSON.parse(answers[0]?.body ?? ''), { code: 'BODY_TOO_LARGE' })
      t.strictSame(taken, [], 'nothing reached the service')

      const bare = await startBare(t, plain.url)
      const passed = await converse(port(bare.url), postThenGet('/v1/posts', body), { enough: 1 })
      t.equal(passed.answers[0]?.status, 200)
      t.strictSame(taken, [LARGE], 'the bare package passes 5 MB where its Fastify has a limit of 1 MiB')
    })

    t.test(`${how}, refused: what the client asks next is answered, or it was told that it will not be`, async (t) => {
      const refusals: Record<string, { path: string; status: number; more?: string }> = {
        'too large': { path: '/v1/posts', status: 413 },
        'a bad token': { path: '/v1/posts', status: 401, more: 'authorization: Bearer nonsense\r\n' },
        'no such path': { path: '/v1/nowhere', status: 404 },
        'an escape': { path: '/v1/posts/%2e%2e', status: 400 },
        'a service that is away': { path: '/v1/feed', status: 503 }
      }
      for (const [what, { path, status, more }] of Object.entries(refusals)) {
        for (const writesFirst of [false, true]) {
          const { answers, rest } = await converse(g.port, postThenGet(path, body, more), { writesFirst })
          const [refusal, next] = answers
          // That a service is away may turn out when the body was read already, and so found to be too large.
          const statuses = status === 503 ? [503, 413] : [status]
          t.ok(statuses.includes(refusal?.status ?? 0), `${what}: ${refusal?.status}`)
          t.equal(rest, '', 'the answer came whole')
          if (refusal?.headers.get('connection') === 'close') t.equal(next, undefined, 'closed as it said')
          else t.equal(next?.status, 200, 'the next request on the connection is answered')
        }
      }
    })

    t.test(`${how}, refused by a service before it was read, through the bare package`, async (t) => {
      const bare = await startBare(t, hasty.url)
      const pieces = postThenGet('/v1/posts', bodyOf(ENDLESS))
      const begun = await converse(port(bare.url), pieces.slice(0, 2), { enough: 1 })
      const told = begun.answers.map(({ status, headers }) => [status, headers.get('connection')])
      t.strictSame(told, [[401, 'close']], 'it has learned to say that the next request is lost')
      const { answers } = await converse(port(bare.url), pieces, { writesFirst: true })
      t.strictSame(answers, [], 'but resets the connection before a client that writes first can read it')
    })
  }
})
