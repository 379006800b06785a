import { waitFor } from '@skerry/testing'
import t from 'tap'
import type { Visit } from '../src/door/visit.ts'
import { denyList } from './fixtures/policies/deny-list.ts'
import { ask, openSession } from './helpers/clients.ts'
import { startGateway } from './helpers/gateway.ts'
import { startListener } from './helpers/listener.ts'
import { sendRaw } from './helpers/raw.ts'
import { startUpstream } from './helpers/upstream.ts'

const LAST = 'HTTP/1.1\r\nhost: x\r\nconnection: close\r\n'

t.test('what the gateway refuses is counted, and logged by the id that its answer says', async (t) => {
  const g = await startGateway(t, { env: { BODIES_BYTES: '65536' } })
  const posts = await startUpstream(t, g.nc, {})
  await g.live('content', 1)
  const asks: [about: string, status: number, request: string, ...more: string[]][] = [
    ['a method that nobody takes', 405, `TRACE /v1/posts ${LAST}\r\n`],
    ['the same for a check of load balancers', 405, `PURGE /livez ${LAST}\r\n`],
    ['a path of its own that not all read in one way', 400, `GET /docs/a//b ${LAST}\r\n`],
    ['such a path of a service', 400, `GET /v1/posts//b ${LAST}\r\n`],
    ['a doubtful message', 400, 'GET /livez HTTP/1.1\r\n\r\n'],
    ['a body where there is none', 400, `GET /livez ${LAST}content-length: 2\r\n\r\n{}`],
    [
      'a body that there is no memory for',
      503,
      `POST /v1/posts ${LAST}content-type: application/json\r\ncontent-length: 90000\r\n\r\n`,
      'x'.repeat(80_000)
    ]
  ]
  for (const [about, status, ...parts] of asks) {
    const { status: found, head } = await sendRaw(g.port, ...parts)
    t.equal(found, status, about)
    const requestId = /^x-request-id: (\S+)$/m.exec(head)?.[1]
    await waitFor(() => completed(requestId).length > 0)
    t.match(completed(requestId), [{ status }], `${about}: once`)
  }
  const session = openSession(t, g.url)
  const twoHosts = await ask(session, { ':authority': 'a.example', host: 'b.example' })
  t.match(
    completed(twoHosts.headers['x-request-id']),
    [{ status: 400 }],
    'HTTP/2 that is refused before it is a request'
  )
  for (const method of ['__proto__', 'constructor']) {
    const answer = await ask(session, { ':method': method })
    t.equal(answer.status, 405, method)
    await waitFor(() => completed(answer.headers['x-request-id']).length === 1)
  }
  t.equal(posts.requests.length, 0)
  const counted = await g.metrics.text()
  const of = (method: string, status: number) =>
    Number(
      counted
        .split('\n')
        .find((line) =>
          ['request_duration_seconds_count{', `method="${method}"`, `status="${status}"`].every((part) =>
            line.includes(part)
          )
        )
        ?.split(' ')[1]
    )
  t.equal(of('other', 405), 4)
  t.equal(of('GET', 400), 5)
  t.equal(of('POST', 503), 1)

  function completed(requestId: unknown) {
    return g.lines.filter((line) => line.msg === 'request completed' && line.requestId === requestId)
  }
})

t.test('a request of the gateway itself has one id, whoever tells of it', async (t) => {
  const g = await startGateway(t, { env: { TRUSTED_PROXIES: '127.0.0.1' }, policies: [denyList] })
  const answer = await fetch(`${g.url}/openapi.json`, { headers: { 'x-forwarded-for': '203.0.113.9' } })
  t.equal(answer.status, 403)
  const requestId = answer.headers.get('x-request-id')
  t.match(await answer.json(), { requestId })
  t.match(
    g.lines.find(({ msg }) => msg === 'refused by a policy'),
    { requestId }
  )
})

t.test('so is the answer to a request whose code has thrown', async (t) => {
  const answered: [Visit, number][] = []
  const { port } = await startListener(t, {
    handler() {
      throw new Error('in its code')
    },
    onAnswered: (visit, status) => answered.push([visit, status])
  })
  const { status, head } = await sendRaw(port, 'GET /v1/x HTTP/1.1\r\nhost: x\r\n\r\n')
  t.equal(status, 500)
  t.equal(answered.length, 1)
  const [visit, told] = answered[0]!
  t.equal(told, 500)
  t.match(head, `x-request-id: ${visit.id}`)
})
