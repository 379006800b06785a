import t from 'tap'
import { chooseParts, formatRounds } from '../src/fault-run/choose.ts'
import type { Part } from '../src/fault-run/parts.ts'
import { readLine } from '../src/fault-run/read-rounds.ts'
import { formatTime, timeLeft } from '../src/fault-run/time-left.ts'
import { watch } from '../src/fault-run/watch.ts'

const part = (name: string, minutes: number, rounds?: number[]): Part => ({
  ...{ name, minutes, proves: `${name} holds`, folder: 'f', file: 'x' },
  ...(rounds === undefined ? {} : { rounds })
})

t.test('lines of a fault test', async (t) => {
  t.same(readLine('# Subtest: round 3: hang'), { type: 'round begins', round: 3 })
  t.same(readLine('# Subtest: it starts'), { type: 'test begins', name: 'it starts' })
  t.same(readLine('ok 2 - round 3: hang # time=12ms'), { type: 'round ended', round: 3, ok: true, seconds: 0.012 })
  t.same(readLine('not ok 2 - round 10 # time=12ms'), { type: 'round ended', round: 10, ok: false, seconds: 0.012 })
  t.same(readLine('    # progress 3/12 deaths, the last redis 1'), {
    ...{ type: 'progress', done: 3, of: 12, text: '3/12 deaths, the last redis 1' }
  })
  for (const line of ['    ok 1 - round 3', 'ok 1 - rounds 3', '    # 4/12 deaths', 'ok 1 - another round 3', ''])
    t.equal(readLine(line), undefined, `"${line}"`)
})

t.test('the time left: as expected at first, then at the pace of this machine', async (t) => {
  const clock = { doneExpected: 0, doneTook: 0, runningExpected: 60, runningFor: 0, runningDone: 0, leftExpected: 120 }
  t.equal(timeLeft(clock), 180)
  t.equal(timeLeft({ ...clock, runningFor: 40, runningDone: 0.05 }), 140, 'too little was seen')
  t.equal(timeLeft({ ...clock, runningFor: 60, runningDone: 0.5 }), 60 + 240, 'half of it took twice as long')
  t.equal(timeLeft({ ...clock, doneExpected: 60, doneTook: 180 }), 180 + 360)
  t.equal(timeLeft({ ...clock, doneExpected: 60, doneTook: 180, runningFor: 90, runningDone: 0.9 }), 10 + 360)
  t.ok(timeLeft({ ...clock, runningFor: 600 }) > 120, 'what is late has not ended')
  for (const [seconds, text] of [
    [0.4, '0 s'],
    [59.6, '1 min 00 s'],
    [185, '3 min 05 s'],
    [3_599.6, '1 h 00 min'],
    [4_320, '1 h 12 min']
  ] as const)
    t.equal(formatTime(seconds), text)
})

t.test('progress is shown when a round ends, and else now and then', async (t) => {
  let at = 0
  const lines: string[] = []
  const parts = [part('kills', 2, [3, 4]), part('whole', 3)]
  const shown = watch(
    parts,
    (line) => lines.push(line),
    () => at
  )
  shown.begin(parts[0]!)
  at = 20_000
  shown.heard({ type: 'round begins', round: 3 })
  at = 50_000
  shown.heard({ type: 'progress', done: 1, of: 4, text: '1/4 deaths' })
  at = 51_000
  shown.heard({ type: 'progress', done: 2, of: 4, text: '2/4 deaths' })
  at = 140_000
  shown.ended({ round: 3, result: 'passed', seconds: 120 })
  shown.begin(parts[1]!)
  shown.stop()
  t.same(lines, [
    '[1/2] kills round 3 (1 of 2): kills holds · 0 s, about 5 min 00 s left',
    '[1/2] kills round 3 (1 of 2): 1/4 deaths · 50 s, about 9 min 30 s left',
    '[1/2] kills round 3 (1 of 2): passed after 2 min 00 s · 2 min 20 s, about 8 min 00 s left',
    '[2/2] whole: whole holds · 2 min 20 s, about 6 min 00 s left'
  ])
})

t.test('parts and rounds by name', async (t) => {
  const parts = [part('kills-1', 4, [1, 2]), part('kills-2', 4, [3, 4]), part('kills-late', 1), part('whole', 3)]
  const doors = [part('door-open', 1), part('door-open-late', 1), part('doors', 1)]
  const called = (name: string) => chooseParts(doors, [name]).map((one) => one.name)
  t.same(called('door'), ['door-open', 'door-open-late'], 'a name that is no part is the beginning of several')
  t.same(called('door-open'), ['door-open'])
  t.throws(() => chooseParts(doors, ['doo']), /there is no part "doo"/)
  const names = (...args: [string[], string?]) => chooseParts(parts, ...args).map(({ name, rounds }) => [name, rounds])
  t.same(names(['kills']), [
    ['kills-1', [1, 2]],
    ['kills-2', [3, 4]]
  ])
  t.same(names([], '2-3'), [
    ['kills-1', [2]],
    ['kills-2', [3]]
  ])
  t.equal(chooseParts(parts, [], '3')[0]?.minutes, 2, 'half of its rounds take half of its time')
  t.equal(formatRounds([1, 2, 3, 5, 7, 8]), '1-3,5,7-8')
})
