import { join } from 'node:path'
import { faultRun, waitFor } from '@skerry/testing'
import t from 'tap'
import { clientBytes, tagOf } from './fuzz/bytes.ts'
import { overused } from './fuzz/excuses.ts'
import { judge } from './fuzz/judge.ts'
import { anyCase, caseOf, type RequestPlan } from './fuzz/model.ts'
import { readAnswers } from './fuzz/read-answers.ts'
import { streamOf } from './fuzz/read-http2.ts'
import { createRequestReference, undiciReads } from './fuzz/reference.ts'
import {
  type Finding,
  type Fuzz,
  openFuzz,
  preparedCase,
  type RoundOptions,
  type RoundResult,
  runRound
} from './fuzz/run.ts'
import { behaveWell } from './fuzz/well-behaved.ts'
import { frame, TYPE } from './helpers/http2-frames.ts'

const run = faultRun({ short: 1, long: 40 })
t.setTimeout(run.limitMs)

/** Cases of a round: 3,000 in npm test, 40 × 25,000 in the long version. */
const CASES = 25_000
const SHORT_CASES = 3_000
const WARM_UP = 1_500
/** The pause of others between two requests, who in npm test leave most of the machine to the cases. */
const PAUSE_MS = run.long ? 5 : 25
/** Beside a fifth of what it held before: what a process of this size may differ by between two looks. */
const HELD_MORE_BYTES = 12_000_000

/** What a reader needs to see a fault again. */
async function tell(round: number, { what, cases, detail }: Finding): Promise<string[]> {
  const [first] = cases
  if (first === undefined) return [what, detail]
  const { bytes, plan } = await preparedCase(run.seed, round, first)
  return [
    what,
    detail,
    `cases ${cases.slice(0, 20).join(', ')}`,
    `run: node test/fuzz/replay.ts --seed ${run.seed} --round ${round} --case ${first} --shrink`,
    `to the gateway (${plan.door}): ${JSON.stringify(bytes.toString('latin1').slice(0, 4_000))}`
  ]
}

/** Waits until the gateways hold no connection, and says how many bytes each of them does. */
async function held(fuzz: Fuzz): Promise<number[]> {
  const doors = [fuzz.doors.plain, fuzz.doors.tls]
  for (const door of doors) await waitFor(async () => (await door.probe()).sockets <= 1, { timeoutMs: 60_000 })
  return Promise.all(doors.map(async (door) => (await door.probe()).heldBytes))
}

const fuzz = await openFuzz()
t.teardown(() => fuzz.close())

t.test('a case is the same each time, and another for another number', (t) => {
  const bytes = (number: number) => clientBytes(caseOf(3, 2, number), ['a', 'b', 'c', 'd', 'e'])
  for (let i = 0; i < 50; i++) t.same(bytes(i), bytes(i))
  t.ok(new Set(Array.from({ length: 50 }, (_, i) => bytes(i).toString('latin1'))).size > 30)
  for (let i = 0; i < 20_000; i++) {
    const tags = [0, 1, 2, 3, 4].map((request) => tagOf(1, 24, i, request))
    if (new Set(tags).size < 5) t.fail(`case ${i} has two requests of one tag`)
  }
  t.ok(anyCase.canShrinkWithoutContext(caseOf(1, 1, 1)), 'fast-check shrinks it from its data alone')
  t.end()
})

t.test('the reference frames what it refuses: its answer has a place among the others', async (t) => {
  const frame = createRequestReference(14_336)
  const framed = await frame(Buffer.from('PATCH /a HTTP/1.1\r\nhot: x\r\n\r\nHEAD /b HTTP/1.1\r\nhost: x\r\n\r\n'))
  t.strictSame(
    framed.map(({ method, refused }) => [method, refused]),
    [
      ['PATCH', true],
      ['HEAD', false]
    ]
  )
  const { rest, answers } = readAnswers(
    'HTTP/1.1 400 Bad Request\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    framed.map(({ method }) => method)
  )
  t.equal(rest, '', 'as in round 14, case 1378: no body was expected, as of an answer to HEAD')
  t.equal(answers.length, 1)
})

t.test('the reference reads a length with a tab behind it, as in round 18, case 19510', async (t) => {
  const answer = Buffer.from('HTTP/1.1 200 OK\r\ncontent-length: 2\t\r\n\r\nab')
  t.strictSame(await undiciReads('GET', answer, false), { status: 200, body: 'ab', whole: true })
})

t.test(
  'the reference passes over a 100 that nobody asked for, also one that a mutation has made, as in round 18, case 19656',
  async (t) => {
    const final = 'HTTP/1.1 503 Said\r\ncontent-length: 2\r\n\r\nab'
    const read = (text: string) => undiciReads('GET', Buffer.from(text), false)
    const whole = { status: 503, body: 'ab', whole: true }
    t.strictSame(
      await read(
        `HTTP/1.1 103 Early\r\nlink: </x>\r\n\r\nHTTP/1.1 100 Early\r\nlink: </x>\r\ncontent-length: 3\r\n\r\n${final}`
      ),
      whole
    )
    t.strictSame(await read(`HTTP/1.1 100\r\n\r\n${final}`), whole)
    t.equal(await read(`HTTP/1.0 100\r\n\r\n${final}`), undefined, 'HTTP/1.0 has none')
    t.equal(await read(`HTTP/1.1 100 Early\r\n\r\nabc${final}`), undefined, 'but no body behind it')
    t.equal(await read('HTTP/1.1 1000 Early\r\n\r\n'), undefined, 'and nothing that only looks like one')
    t.strictSame(await read('HTTP/1.1 200 OK\r\ncontent-length: 13\r\n\r\nHTTP/1.1 100 '), {
      status: 200,
      body: 'HTTP/1.1 100 ',
      whole: true
    })
  }
)

/** What is found of cases that gateways play that something was planted into, until there is enough. */
async function findingsWith(
  fixture: string,
  options: Pick<RoundOptions, 'cases' | 'without' | 'enough'>
): Promise<RoundResult> {
  const planted = await openFuzz([join(import.meta.dirname, 'fixtures', fixture)])
  try {
    return await runRound(planted, { seed: 1, round: 1, pauseMs: PAUSE_MS, ...options })
  } finally {
    await planted.close()
  }
}

t.test('a fault that the gateway goes on after is found, as its end would be', async (t) => {
  const { findings, cases } = await findingsWith('fault-now-and-then.ts', { cases: 2_000 })
  t.match(findings, [{ what: /^a gateway had a fault: Error: planted, / }])
  t.ok(cases < 2_000, 'the round ends with it')
})

t.test(
  'what is wrong with answers over HTTP/2 alone is found: a status, a byte that is missing, the body of another',
  async (t) => {
    const wrong: readonly RegExp[] = [
      /^status 201 for 200$/,
      /^another body than the service sent$/,
      /^a length over HTTP\/2 that is not that of the body$/,
      /^another's answer: /
    ]
    const isIn = (findings: readonly Finding[], what: RegExp) => findings.some((one) => what.test(one.what))
    const { findings } = await findingsWith('wrong-over-http2.ts', {
      cases: 8_000,
      without: ({ speaks }) => speaks !== 'http2',
      enough: (found) => wrong.every((what) => isIn(found, what))
    })
    for (const what of wrong) t.ok(isIn(findings, what), String(what), { findings })
  }
)

t.test('what is wrong with an upload that passes through is found', async (t) => {
  const isFound = (findings: readonly Finding[]) =>
    findings.some(({ what }) => what === 'a service saw another body than was sent')
  const { findings } = await findingsWith('uploads-changed.ts', {
    cases: 2_000,
    without: ({ speaks }) => speaks !== 'http1',
    enough: isFound
  })
  t.ok(isFound(findings), 'another byte', { findings })
})

t.test('late bytes of an unused connection that answer who uses it next are found', async (t) => {
  const isLate = ({ answer }: RequestPlan) => answer.late === 'answer' && answer.lateWhen === 'next read'
  const isFound = (findings: readonly Finding[]) =>
    findings.some(({ detail }) => /^that of case \d+, late answer \(next read\) behind /.test(detail))
  const { findings } = await findingsWith('late-bytes-kept.ts', {
    cases: 8_000,
    // Those that send them, and those that may be given them.
    without: ({ requests }) => requests.length < 5 && !requests.some(isLate),
    enough: isFound
  })
  t.ok(isFound(findings), 'those that were there before, which another read brings', { findings })
})

t.test(
  'a stream that is reset because its body has another length than was said is no answer that is missing',
  async (t) => {
    const prepared = await preparedCase(1, 1, 13_983)
    const [tag, { method, target, body }] = [prepared.tags[3]!, prepared.framed[3]!]
    t.match(prepared.plan.requests[3], { body: { framing: 'length', lie: 1 } })
    const reset = frame(TYPE.reset, 0, streamOf(3), Buffer.from([0, 0, 0, 1]))
    const text = Buffer.concat([frame(TYPE.settings, 0, 0), reset]).toString('latin1')
    const transcript = { text, sentAll: true, closedBy: 'client', reset: false, refused: false, stuck: false } as const
    const judged = (early: boolean) =>
      judge(
        prepared,
        { transcript, seen: [{ tag, method, target, body, early, tookMs: 1 }], startedAt: performance.now() },
        new Map()
      )
    t.strictSame((await judged(true)).faults, [], 'a service answered at its head')
    t.match((await judged(false)).faults, [{ what: 'a service answered a request, and its client was not' }])
  }
)

t.test('an excuse that is used too often is a finding', (t) => {
  t.strictSame(overused({ raced: 60, cut: 100, coded: 1 }, 5_000), ['excused too often (raced): 60 of 5000 cases'])
  t.strictSame(overused({ raced: 25, cut: 250 }, 5_000), [])
  t.strictSame(overused({ 'reset by the service': 10 }, 100), [], 'a few of few cases are none')
  t.end()
})

// Nothing that a client or a service sends stops the gateway, mixes answers up or stays in its memory.
let before: number[] = []

t.test(
  'the first cases: code is compiled and caches are filled, and what is held then is what rounds are compared with',
  async (t) => {
    const first = await runRound(fuzz, { seed: run.seed, round: 0, cases: WARM_UP, pauseMs: PAUSE_MS })
    for (const finding of first.findings) t.fail(finding.what, { found: await tell(0, finding) })
    before = await held(fuzz)
  }
)

for (const round of run.rounds)
  t.test(`round ${round}`, { timeout: run.limitMs }, async (t) => {
    const cases = run.long ? CASES : SHORT_CASES
    let said = 0
    const result = await runRound(fuzz, {
      seed: run.seed,
      round,
      cases,
      pauseMs: PAUSE_MS,
      onProgress(done) {
        if (done < said + 1_000) return
        said = done
        t.comment(`progress ${done}/${cases} cases`)
      }
    })
    for (const finding of result.findings) t.fail(finding.what, { found: await tell(round, finding) })
    t.equal(result.cases, cases, 'all cases were played')
    t.ok(result.seen > cases / 4, 'services saw requests')
    t.ok(result.calm > 0 && result.shared > 0, 'well-behaved clients were answered meanwhile')
    // How many are not depends on how many cases are under way beside one, which is the machine's speed: a share is for the long version.
    const failed = run.long ? result.sharedFailed * 10 : result.sharedFailed
    t.ok(failed < result.shared, 'also at the service that is hostile to others')
    const { plain, tls } = fuzz.doors
    const after = await held(fuzz)
    for (const [i, bytes] of after.entries())
      t.ok(bytes < before[i]! * 1.2 + HELD_MORE_BYTES, `memory of gateway ${i + 1} is where it was`, { before, after })
    const alone = behaveWell({ plain: plain.port, tls: tls.port }, fuzz.service, run.seed, round, PAUSE_MS)
    await waitFor(() => alone.tally.shared - alone.tally.failed >= 20, { timeoutMs: 60_000 })
    await alone.stop()
    t.strictSame(alone.tally.faults, [], 'both services are reached as before when the attack is over')
    const { cpuMs, delayMs } = await plain.probe()
    t.comment(
      `seed ${run.seed} round ${round}: ${Math.round(result.cases / result.seconds)} cases/s, ${result.seen} requests seen, ${result.calm + result.shared} of others; gateway ${Math.round(cpuMs / 1_000)} s CPU so far, loop at most ${Math.round(delayMs)} ms late; held ${before.map(mb)} → ${after.map(mb)} MB`
    )
  })

function mb(bytes: number): number {
  return Math.round(bytes / 1e6)
}
