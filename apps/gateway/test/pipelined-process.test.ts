import { readFile } from 'node:fs/promises'
import { faultRun } from '@skerry/testing'
import t from 'tap'
import { converse } from './helpers/conversation.ts'
import { startOrigin } from './helpers/origin.ts'
import { startProcess } from './helpers/processes.ts'

// Requests that are sent without waiting, at a real process: the order of their answers; and, in `npm run test:faults -- gateway-pipelined`,
// that many cost no more each than few.
const run = faultRun({ short: 1, long: 1 })
t.setTimeout(run.limitMs)
/** One read of a connection brings as many short ones. */
const MOST = 2_500
const FEW = 250
/** Of each size, and how much more one of many may cost. */
const REQUESTS = 25_000
const DEARER = 1.5

const origin = await startOrigin(t, 'one', (request, response) => {
  request.resume()
  response.end(request.url)
})
const gateway = await startProcess(t, '../../src/main.ts', {
  ...{ PORT: '0', DRAIN_MS: '0', IDLE_KEPT_MS: '0', LIMIT_EXEMPT: '127.0.0.1', HEALTH_INTERVAL_MS: '0' },
  ROUTES: `/x=${origin.url}`
})
const port = Number(new URL(gateway.url).port)
/** So many requests for what `pathOf` says, in one write; the last ends the connection. */
const ask = (count: number, pathOf: (at: number) => string) => {
  const heads = Array.from({ length: count }, (_, at) => {
    const last = at === count - 1 ? 'connection: close\r\n' : ''
    return `GET ${pathOf(at)} HTTP/1.1\r\nhost: x\r\n${last}\r\n`
  })
  return converse(port, [Buffer.from(heads.join(''))])
}

t.test('each is answered with what it asked for, in their order', async (t) => {
  const kinds = (at: number) => (at % 5 === 3 ? '/livez' : at % 5 === 4 ? '/nowhere' : `/x/${at}`)
  const { answers, rest, stuck } = await ask(MOST, kinds)
  t.notOk(stuck)
  t.equal(rest, '')
  t.equal(answers.length, MOST)
  const right = answers.filter(({ status, body }, at) =>
    at % 5 === 3 ? status === 200 && body.includes('ok') : at % 5 === 4 ? status === 404 : body === `/x/${at}`
  )
  t.equal(right.length, MOST)
  t.equal(gateway.child.exitCode, null)
  t.notMatch(await (await fetch(`${gateway.ops}/metrics`)).text(), /^skerry_faults_total/m)
})

t.test(
  'many at once cost no more each than few',
  run.long ? {} : { skip: 'takes time on the processor, which is measured: npm run test:faults -- gateway-pipelined' },
  async (t) => {
    /** Ticks of the processor that the gateway has had. */
    const ticks = async () => {
      const text = await readFile(`/proc/${gateway.child.pid}/stat`, 'utf8')
      const [user, system] = text.slice(text.lastIndexOf(')')).split(' ').slice(12, 14).map(Number)
      return (user ?? 0) + (system ?? 0)
    }
    const cost = async (atOnce: number) => {
      const before = await ticks()
      for (let asked = 0; asked < REQUESTS; asked += atOnce) await ask(atOnce, () => '/livez')
      return ((await ticks()) - before) / REQUESTS
    }
    await cost(FEW)
    const [few, many] = [await cost(FEW), await cost(MOST)]
    t.comment(
      `a request: ${(few * 10_000).toFixed(0)} µs with ${FEW} at once, ${(many * 10_000).toFixed(0)} µs with ${MOST}`
    )
    t.ok(many <= few * DEARER, `at most ${DEARER} times as much`)
  }
)
