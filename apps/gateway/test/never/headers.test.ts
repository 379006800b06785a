import t, { type Test } from 'tap'
import { startBare } from '../helpers/bare.ts'
import { converse } from '../helpers/conversation.ts'
import { startGateway } from '../helpers/gateway.ts'
import { startUpstream } from '../helpers/upstream.ts'

/** Who is told what by whom: only the gateway may say these. */
const CLAIMS = {
  'x-forwarded-for': '6.6.6.6',
  'x-forwarded-proto': 'https',
  'x-forwarded-host': 'evil.example',
  'x-forwarded-port': '1',
  'x-forwarded-prefix': '/admin',
  'x-forwarded-user': 'admin',
  forwarded: 'for=6.6.6.6;proto=https',
  via: '1.1 evil',
  'x-real-ip': '6.6.6.6',
  'x-client-ip': '6.6.6.6',
  'x-user-id': 'admin',
  'x-skerry-caller': 'admin',
  'x-skerry-user': 'admin',
  'x-skerry-revoked': 'all',
  'x-original-url': '/admin',
  'x-rewrite-url': '/admin',
  'x-original-uri': '/admin',
  'x-original-forwarded-for': '6.6.6.6',
  'client-ip': '6.6.6.6',
  'true-client-ip': '6.6.6.6',
  'x-cluster-client-ip': '6.6.6.6',
  'x-http-method-override': 'DELETE',
  'x-http-method': 'DELETE',
  'x-method-override': 'DELETE'
}
/** Those of them that the bare package passes on. */
const PASSED_BY_BARE = Object.keys(CLAIMS)

const port = (url: string) => Number(new URL(url).port)

t.test('what a client says of itself', async (t) => {
  const g = await startGateway(t, { env: { LIMIT_EXEMPT: '127.0.0.1', HEALTH_INTERVAL_MS: '0' } })
  const bodies: string[] = []
  const posts = await startUpstream(t, g.nc, {
    answer: async (request, response) => {
      let body = ''
      for await (const chunk of request) body += chunk
      bodies.push(body)
      response.end('{}')
    }
  })
  await g.live('content', 1)
  const bare = await startBare(t, posts.url)

  /** What the service got of a request with these header lines. */
  const received = async (t: Test, to: string, lines: string[], method = 'GET', body = '') => {
    const before = posts.requests.length
    const head = [`${method} /v1/posts HTTP/1.1`, 'host: x', ...lines].join('\r\n')
    const { answers } = await converse(port(to), [Buffer.from(`${head}\r\n\r\n${body}`)], { enough: 1 })
    t.equal(answers[0]?.status, 200)
    t.equal(posts.requests.length, before + 1)
    return posts.requests.at(-1)!.headers
  }
  const claims = Object.entries(CLAIMS).map(([name, value]) => `${name}: ${value}`)

  t.test('does not reach a service', async (t) => {
    const got = await received(t, g.url, [...claims, 'connection: close'])
    t.equal(got['x-forwarded-for'], '127.0.0.1')
    t.equal(got['x-forwarded-proto'], 'http')
    for (const [name, value] of Object.entries(CLAIMS)) t.not(got[name], value, name)
  })

  t.test('nor in other letters, twice, or with an underscore or a dot for whoever takes it for a hyphen', async (t) => {
    const odd = claims.flatMap((line) => [line.toUpperCase(), line])
    const underscored = claims.map((line) => line.replace(/^[^:]+/, (name) => name.replaceAll('-', '_')))
    // PHP takes dots for underscores as well.
    const dotted = claims.map((line) => line.replace(/^[^:]+/, (name) => name.replaceAll('-', '.')))
    const got = await received(t, g.url, [...odd, ...underscored, ...dotted, 'connection: close'])
    t.equal(got['x-forwarded-for'], '127.0.0.1')
    const values = new Set(Object.values(CLAIMS).filter((value) => value !== '1'))
    for (const [name, value] of Object.entries(got))
      t.notOk(values.has(String(value)) || values.has(String(value).toLowerCase()), name)
  })

  t.test('cannot take away what the gateway says, by naming it in Connection', async (t) => {
    const named = [...Object.keys(CLAIMS), 'x-request-id', 'traceparent', 'host', 'content-length', 'transfer-encoding']
    const got = await received(
      t,
      g.url,
      [...claims, `connection: close, ${named.join(', ')}`, 'content-length: 5'],
      'POST',
      'whole'
    )
    t.equal(got['x-forwarded-for'], '127.0.0.1')
    t.equal(got['x-forwarded-proto'], 'http')
    for (const name of ['x-request-id', 'traceparent', 'host']) t.ok(got[name], name)
    t.equal(bodies.at(-1), 'whole')
    t.not(got['x-user-id'], 'admin')
  })

  t.test('cannot change what others are kept an answer of, by naming it in Connection', async (t) => {
    await startUpstream(t, g.nc, {
      service: 'things',
      prefixes: ['/v1/things'],
      routes: [{ method: 'GET', path: '/v1/things', auth: 'none', cache: { scope: 'public', ttl: 600 } }],
      answer: (request, response) => {
        response.writeHead(200, { vary: 'accept-language', 'content-type': 'text/plain' })
        response.end(request.headers['accept-language'] ?? 'none')
      }
    })
    await g.live('things', 1)
    const ask = async (...lines: string[]) => {
      const head = ['GET /v1/things HTTP/1.1', 'host: x', ...lines, '', ''].join('\r\n')
      const { answers } = await converse(g.port, [Buffer.from(head)], { enough: 1 })
      return answers[0]!
    }
    await ask('accept-language: en')
    await ask('accept-language: de', 'connection: accept-language')
    const kept = await ask('accept-language: de')
    t.match(kept.headers.get('cache-status'), /skerry/)
    t.equal(kept.body, 'de')
  })

  t.test('reaches it through the bare package', async (t) => {
    const got = await received(t, bare.url, [...claims, 'connection: close'])
    for (const name of PASSED_BY_BARE) t.equal(got[name], CLAIMS[name as keyof typeof CLAIMS], name)
  })
})
