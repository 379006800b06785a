import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { scoreOf, survivorsOf, tableOf } from '../src/mutation/report.ts'
import { chooseTargets, TARGETS } from '../src/mutation/targets.ts'
import type { Mutant } from '../src/mutation/try-file.ts'
import { REPOSITORY } from '../src/repository.ts'

const mutant = (status: Mutant['status'], line = 1, replacement = 'x'): Mutant => ({
  ...{ id: '1', mutatorName: 'ConditionalExpression', replacement, status },
  location: { start: { line, column: 2 }, end: {} }
})

t.test('a score counts what could be tried', async (t) => {
  const all = (['Killed', 'Killed', 'Timeout', 'Survived', 'NoCoverage', 'RuntimeError'] as const).map((one) =>
    mutant(one)
  )
  t.strictSame(scoreOf(all), { mutants: 5, killed: 2, survived: 1, noCoverage: 1, timeout: 1, score: 60 })
  t.match(scoreOf([mutant('Killed'), mutant('Killed'), mutant('Survived')]), { score: 66.6 }, 'rounded down')
  t.match(scoreOf([]), { mutants: 0, score: 100 })
})

t.test('a table lines up, and a survivor says where it is', async (t) => {
  const score = scoreOf([mutant('Killed'), mutant('Survived')])
  t.strictSame(tableOf([['store', score]]).split('\n'), [
    'folder  mutants  killed  survived  no coverage  timeout   score',
    'store         2       1         1            0        0  50.0 %'
  ])
  const mutants = [mutant('Killed'), mutant('Survived', 7, 'a\n  b'), mutant('NoCoverage', 8, 'y'.repeat(200))]
  t.strictSame(survivorsOf('packages/store', { file: 'src/ids.ts', mutants }), [
    'packages/store/src/ids.ts:7:2 ConditionalExpression → a b',
    `packages/store/src/ids.ts:8:2 ConditionalExpression (no coverage) → ${'y'.repeat(119)}…`
  ])
})

t.test('every file of a target is there, and its tests start no server', async (t) => {
  for (const { package: folder, sources, tests } of TARGETS) {
    for (const file of sources) t.ok(existsSync(join(REPOSITORY, folder, file)), `${folder}/${file}`)
    for (const file of tests) {
      const text = readFileSync(join(REPOSITORY, folder, file), 'utf8')
      t.notMatch(text, /useStores|startRedisServer|startGateway|startUpstream/, `${folder}/${file}`)
    }
  }
  t.equal(chooseTargets([]), TARGETS)
  t.strictSame(
    chooseTargets(['door', 'store']).map(({ name }) => name),
    ['store', 'door']
  )
  t.throws(() => chooseTargets(['doors']), { message: /there is no folder "doors".*store, contracts, routing/ })
})
