import t from 'tap'
import { ageOf, cut, hasColours, painter, prettyPayload, printable, shortTime, sizeOf } from '../src/events/format.ts'
import { createProgress } from '../src/events/progress.ts'
import { consumerName } from '../src/events/system.ts'
import { subjectsOf } from '../src/events/tail.ts'
import { parseTime } from '../src/events/time.ts'

t.test('times, ages and sizes', async (t) => {
  const now = Date.parse('2026-11-24T18:00:00Z')
  t.equal(parseTime('--since', '15m', now).toISOString(), '2026-11-24T17:45:00.000Z')
  t.equal(parseTime('--since', '2d', now).toISOString(), '2026-11-22T18:00:00.000Z')
  // Without a zone it is UTC, wherever the terminal stands.
  t.equal(parseTime('--since', '2026-11-24 17:00').toISOString(), '2026-11-24T17:00:00.000Z')
  t.equal(parseTime('--since', '2026-11-24T17:00:00+01:00').toISOString(), '2026-11-24T16:00:00.000Z')
  t.equal(parseTime('--since', '2026-11-24').toISOString(), '2026-11-24T00:00:00.000Z')
  for (const text of ['', '12', '5w', 'yesterday', '2026-13-40', '1e3'])
    t.throws(() => parseTime('--since', text), {
      message: `--since ${text} does not fit: give 15m, 2h, 3d, or a time as 2026-11-24T17:54:10Z`
    })
  const ages = [0, 119, 120, 7_199, 7_200, 172_800].map((s) => ageOf(new Date(now - s * 1_000).toISOString(), now))
  t.same(ages, ['0 s', '119 s', '2 min', '120 min', '2 h', '2 d'])
  t.equal(ageOf(null), '-')
  t.same([0, 999, 1_000, 1_440_000, 3e15].map(sizeOf), ['0 B', '999 B', '1.0 kB', '1.4 MB', '3000.0 TB'])
  t.same(
    [shortTime('2026-11-24T17:54:10.123456789Z'), shortTime('0001-01-01T00:00:00Z'), shortTime(undefined)],
    ['2026-11-24 17:54:10', '-', '-']
  )
})

t.test('payloads are shown so that they cannot steer a terminal', async (t) => {
  const esc = String.fromCharCode(27)
  const shown = prettyPayload(JSON.stringify({ text: `${esc}[2J`, 'a"b': 1 }), painter(true))
  t.equal(shown, `{\n  ${esc}[36m"text"${esc}[0m: "\\u001b[2J",\n  ${esc}[36m"a\\"b"${esc}[0m: 1\n}`)
  t.equal(prettyPayload(`no json ${esc}[2J`, painter(false)), 'no json \u241b[2J')
  t.equal(printable('a\tb\nc\u009b'), 'a\tb\nc\ufffd')
  t.equal(cut('one\ntwo three', 8), 'one two…')
  t.same(
    [hasColours({ isTTY: true }, {}), hasColours({ isTTY: true }, { NO_COLOR: '1' }), hasColours({}, {})],
    [true, false, false]
  )
})

t.test('what a subject stands for', async (t) => {
  const streams = ['auth', 'content']
  t.same(subjectsOf(undefined, streams), [
    ['auth', ['auth.>']],
    ['content', ['content.>']]
  ])
  t.same(subjectsOf('content', streams), [['content', ['content.>']]])
  t.same(subjectsOf('content.post', streams), [['content', ['content.post.>']]])
  t.same(subjectsOf('content.post.created.v1', streams), [
    ['content', ['content.post.created.v1', 'content.post.created.v1.*']]
  ])
  t.same(subjectsOf('*.*.created.v1', streams), [
    ['auth', ['auth.*.created.v1', 'auth.*.created.v1.*']],
    ['content', ['content.*.created.v1', 'content.*.created.v1.*']]
  ])
  for (const bad of ['', '.', 'content.>.post', 'content post', 'nobody']) t.throws(() => subjectsOf(bad, streams), bad)
  t.throws(() => subjectsOf('users', streams), {
    message: 'there is no stream users, only auth, content. See: ./skerry events ls'
  })
})

t.test('names of consumers', async (t) => {
  t.same(consumerName('content--feeds'), { service: 'content', purpose: 'feeds', consumer: 'content--feeds' })
  t.match(consumerName('my-service--feed-lists--r2'), { service: 'my-service', purpose: 'feed-lists--r2' })
  for (const other of ['feeds', 'content-feeds', '--feeds', 'content--', 'a.b--c'])
    t.equal(consumerName(other), undefined)
})

t.test('progress: a line for each tenth, or one line that is written over', async (t) => {
  const written: string[] = []
  const plain = createProgress('work', { write: (text) => written.push(text) })
  for (let done = 0; done <= 20; done++) plain.show(done, 20, `${done} of 20`)
  plain.end()
  t.equal(written.length, 11)
  t.equal(written[1], 'work: 10 % (2 of 20)\n')
  written.length = 0
  const terminal = createProgress('work', { isTTY: true, write: (text) => written.push(text) })
  terminal.show(1, 4, 'a')
  terminal.show(1, 4, 'a')
  terminal.show(0, 0, 'b')
  terminal.end()
  t.same(written, ['\r\u001b[2Kwork: 25 % (a)', '\r\u001b[2Kwork: 100 % (b)', '\n'])
})
