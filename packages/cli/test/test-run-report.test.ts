import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { keepDurations, longestFirst, readDurations, writeWeights } from '../src/test-run/durations.ts'
import { chooseFiles, findTestFiles, type TestFile } from '../src/test-run/files.ts'
import { choosePackages, findPackages } from '../src/test-run/packages.ts'
import { runPool } from '../src/test-run/pool.ts'
import { createProgress, inWords } from '../src/test-run/progress.ts'
import { createReport } from '../src/test-run/report.ts'
import type { FileResult } from '../src/test-run/run-file.ts'
import { fixtureRepo } from './helpers/fixture-repo.ts'

const file = (path: string, name = '@skerry/auth'): TestFile => ({
  package: name,
  folder: 'apps/auth',
  path,
  inPackage: path,
  timeoutMs: 1_000
})

const result = (path: string, more: Partial<FileResult> = {}): FileResult => ({
  ...{ file: file(path), seconds: 1, passed: 1, failed: 0, skipped: [], failures: [], assertions: new Map() },
  ...{ faults: [], errors: '', other: '', ...more }
})

t.test('the report closes with the sum alone on a line, after what was skipped and why', async (t) => {
  const lines: string[] = []
  const report = createReport((line) => lines.push(line), [file('a'), file('b')])
  report.check('types', true, 2, 'hidden')
  report.check('lint', false, 1, 'a/b.ts:3 is wrong')
  report.file(result('a', { passed: 10, skipped: [{ name: 'slow disk', why: 'needs strace' }] }))
  t.notMatch(lines.join('\n'), /@skerry\/auth/, 'its package is not done')
  report.file(
    result('b', { failed: 1, failures: [{ name: 'adds', diagnostics: { diff: '-3\n+2\n' } }], faults: ['left'] })
  )
  t.equal(report.close(), 1)
  t.equal(lines.at(-1), '12 passed, 3 failed, 1 skipped')
  t.equal(lines.at(-2), '- skipped: a: slow disk: needs strace')
  t.match(lines.join('\n'), /✓ types +2\.0 s/)
  t.match(lines.join('\n'), /a\/b\.ts:3 is wrong\n✗ lint +failed +1\.0 s/)
  t.match(lines.join('\n'), /✗ @skerry\/auth +11 passed, 2 failed, 1 skipped +2\.0 s/)
  t.match(lines.join('\n'), /✗ b\n {2}not ok adds\n[\s\S]*\+2\n {2}left\n/)
  t.notMatch(lines.join('\n'), /hidden/)
  const good: string[] = []
  const other = createReport((line) => good.push(line))
  other.check('types', true, 1, '')
  t.equal(other.close(), 0)
  t.same(good.at(-1), '1 passed, 0 failed, 0 skipped')
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

t.test('test files are found with the time-out of their package, and chosen by path', async (t) => {
  const folder = t.testdir()
  const sources = {
    'apps/one/test/a.test.ts': '',
    'apps/one/test/deep/b.test.ts': '',
    'packages/two/test/a.test.ts': ''
  }
  const files = await fixtureRepo(folder, sources, 90)
  await writeFile(join(folder, 'packages/two/.taprc'), 'plugin:\n  - "!@tapjs/typescript"\n')
  t.same(
    files.map((f) => f.path),
    Object.keys(sources)
  )
  t.same(
    (await findTestFiles(folder, await findPackages(folder))).map((f) => [f.package, f.inPackage, f.timeoutMs]),
    [
      ['@skerry/one', 'test/a.test.ts', 90_000],
      ['@skerry/one', 'test/deep/b.test.ts', 90_000],
      ['@skerry/two', 'test/a.test.ts', 30_000]
    ]
  )
  const paths = (...names: string[]) => chooseFiles(files, names).map((f) => f.path)
  t.same(paths('apps/one/test/a.test.ts'), ['apps/one/test/a.test.ts'])
  t.same(paths('a.test.ts'), ['apps/one/test/a.test.ts', 'packages/two/test/a.test.ts'])
  t.same(paths('./deep/b.test.ts'), ['apps/one/test/deep/b.test.ts'])
  t.throws(() => paths('.test.ts'), /no test file of apps\/one, packages\/two/)
})

t.test(
  'the longest files come first: by what they took here, else by the kept table; unknown ones are not last',
  async (t) => {
    const folder = t.testdir()
    const [kept, here] = [join(folder, 'weights.json'), join(folder, 'made/durations.json')]
    const files = ['a', 'b', 'new', 'c'].map((path) => file(path))
    t.same(await readDurations(kept, here), {})
    await writeWeights(kept, [
      result('c', { seconds: 0.4 }),
      result('a', { seconds: 40.4 }),
      result('b', { seconds: 3.1 })
    ])
    t.equal(await readFile(kept, 'utf8'), '{\n  "a": 40,\n  "b": 3,\n  "c": 1\n}\n')
    const order = async () => longestFirst(files, await readDurations(kept, here)).map((f) => f.path)
    t.same(await order(), ['a', 'new', 'b', 'c'])
    await keepDurations(here, [result('c', { seconds: 50 }), result('b', { seconds: 99, faults: ['it did not end'] })])
    await keepDurations(here, [result('new', { seconds: 0.1 })])
    t.same(await order(), ['c', 'a', 'b', 'new'], 'what did not end says nothing')
    await writeFile(here, '{ broken')
    t.same(await order(), ['a', 'new', 'b', 'c'])
  }
)

t.test('so many at once, in order, and none is begun after the signal', async (t) => {
  const begun: number[] = []
  const ends = new Map<number, () => void>()
  const controller = new AbortController()
  const running = runPool([1, 2, 3, 4, 5], 2, controller.signal, (item) => {
    begun.push(item)
    return new Promise<number>((resolve) => ends.set(item, () => resolve(item)))
  })
  const settle = () => new Promise((resolve) => setImmediate(resolve))
  t.same(begun, [1, 2])
  ends.get(2)?.()
  await settle()
  t.same(begun, [1, 2, 3])
  ends.get(1)?.()
  await settle()
  t.same(begun, [1, 2, 3, 4])
  controller.abort()
  ends.get(3)?.()
  ends.get(4)?.()
  t.same(await running, [2, 1, 3, 4])
})

t.test('progress tells what is left by what files took earlier', async (t) => {
  const progress = createProgress(['a', 'b', 'c'], { a: 100, b: 20 }, 2)
  t.equal(
    progress.line(0),
    '… 0 of 3 files after 0 s, about 1 min 40 s left',
    'the longest bounds it; c takes the mean'
  )
  progress.ended('a')
  t.equal(progress.line(61), '… 1 of 3 files after 1 min 1 s, about 1 min 0 s left')
  t.equal(createProgress(['a'], {}, 2).line(5), '… 0 of 1 files after 5 s', 'nothing is known')
  t.equal(inWords(7_260), '2 h 1 min')
})
