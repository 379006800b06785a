import t from 'tap'
import { choosePackages } from '../src/test-run/packages.ts'
import { createReport } from '../src/test-run/report.ts'
import { tapTotals } from '../src/test-run/tap-totals.ts'

const output = (totals: string) => `ok 1 - test/a.test.ts # time=3ms\n\n# { ${totals} }\n# time=4ms`

t.test('totals of a package', async (t) => {
  t.same(tapTotals(output('total: 16, pass: 16'), true), { passed: 16, failed: 0 })
  t.same(tapTotals(output('total: 16, pass: 14, fail: 1, skip: 1'), false), { passed: 14, failed: 1 })
  t.match(tapTotals(output('total: 16, pass: 16'), false), { passed: 16, failed: 1, why: /no assertion shows/ })
  t.match(tapTotals(output('total: 0'), true), { passed: 0, failed: 1, why: /no assertion/ })
  t.match(tapTotals('No test files found', false), { passed: 0, failed: 1, why: /without its totals/ })
  t.match(tapTotals('    # { total: 3, pass: 3 }', true), { failed: 1 }, 'a comment of a subtest is not the total')
})

t.test('the report closes with the sum, and shows all of what failed but nothing of what passed', async (t) => {
  const lines: string[] = []
  const report = createReport((line) => lines.push(line))
  report.add('types', { passed: 1, failed: 0 }, 2, 'hidden')
  report.add('@skerry/auth', { passed: 10, failed: 2 }, 3.25, 'ok 1 - fine\n  not ok 2 - broken\n    diff: x')
  t.equal(report.close(), 1)
  t.equal(lines.at(-1), '11 passed, 2 failed')
  t.match(lines.join('\n'), /✓ types +1 passed +2\.0 s/)
  t.match(lines.join('\n'), / {2}not ok 2 - broken\n {4}diff: x\n✗ @skerry\/auth +10 passed, 2 failed +3\.[23] s/)
  t.notMatch(lines.join('\n'), /hidden|fine/)
  const good = createReport(() => {})
  good.add('types', { passed: 1, failed: 0 }, 1, '')
  t.equal(good.close(), 0)
})

t.test('packages are named in three ways', async (t) => {
  const auth = { name: '@skerry/auth', folder: 'apps/auth', hasTests: true }
  const stores = { name: '@skerry/stores', folder: 'infra/stores', hasTests: true }
  t.same(choosePackages([auth, stores], []), [auth, stores])
  t.same(choosePackages([auth, stores], ['auth', 'infra/stores']), [auth, stores])
  t.same(choosePackages([auth, stores], ['@skerry/auth']), [auth])
  t.throws(
    () => choosePackages([auth, stores], ['nobody']),
    /nobody is no package: there are apps\/auth, infra\/stores/
  )
})
