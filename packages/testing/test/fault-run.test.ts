import t from 'tap'
import { faultRun, parseRounds, shuffled } from '../src/index.ts'

t.test('rounds as text', async (t) => {
  t.same(parseRounds('3'), [3])
  t.same(parseRounds('2-5'), [2, 3, 4, 5])
  t.same(parseRounds('4-6,1,5'), [1, 4, 5, 6], 'ascending, each once')
  for (const text of ['', '0', '0-2', '5-2', '1-', 'a', '1,,2', '1 - 2', '-1', '1.5', '99999'])
    t.throws(() => parseRounds(text), /names no rounds/, `"${text}"`)
})

t.test('a file runs its short version, and the long one where it is told', async (t) => {
  const rounds = { short: 1, long: 3 }
  t.match(faultRun(rounds, {}), { long: false, seed: 1, rounds: [1], limitMs: 300_000 })
  t.match(faultRun(rounds, { SKERRY_FAULTS: '1' }), { long: true, rounds: [1, 2, 3], limitMs: 1_800_000 })
  t.match(
    faultRun(rounds, { SKERRY_FAULTS: '1', SKERRY_SEED: '7', SKERRY_ROUNDS: '2-3', SKERRY_FAULTS_LIMIT_S: '60' }),
    { seed: 7, rounds: [2, 3], limitMs: 60_000 }
  )
  t.equal(faultRun(rounds, { SKERRY_FAULTS: '' }).long, false)
  for (const [env, why] of [
    [{ SKERRY_SEED: 'x' }, /SKERRY_SEED=x is no whole number/],
    [{ SKERRY_FAULTS_LIMIT_S: '0' }, /SKERRY_FAULTS_LIMIT_S=0 is no number of seconds/],
    [{ SKERRY_ROUNDS: 'all' }, /"all" names no rounds/]
  ] as const)
    t.throws(() => faultRun(rounds, env), why)
})

t.test('the seed, the round and the purpose determine a fate, and nothing else does', async (t) => {
  const draw = (seed: string, round: number, purpose?: string) => {
    const random = faultRun({ short: 1, long: 1 }, { SKERRY_SEED: seed }).random(round, purpose)
    return shuffled(
      Array.from({ length: 20 }, (_, i) => i),
      random
    )
  }
  t.same(draw('1', 3), draw('1', 3))
  t.same(
    draw('1', 3).sort((a, b) => a - b),
    Array.from({ length: 20 }, (_, i) => i),
    'nothing is lost by it'
  )
  for (const other of [draw('2', 3), draw('1', 4), draw('1', 3, 'nats')]) t.notSame(other, draw('1', 3))
})
