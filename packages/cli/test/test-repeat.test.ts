import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { skipWithout, waitFor } from '@skerry/testing'
import t from 'tap'
import { compareRuns } from '../src/test-repeat/compare.ts'
import { startHog } from '../src/test-repeat/hog.ts'
import { type RepeatOptions, repeatTests } from '../src/test-repeat/index.ts'
import type { FileRecord, RunRecord } from '../src/test-repeat/records.ts'
import { seedOf, shuffle } from '../src/test-repeat/shuffle.ts'
import { missingStrace, slowFsync } from '../src/test-repeat/slow-fsync.ts'
import { stateOf } from '../src/test-repeat/sources.ts'
import { newMark } from '../src/test-run/processes.ts'
import { runs } from './helpers/cli.ts'
import { fixtureRepo } from './helpers/fixture-repo.ts'

t.test('the order follows from the seed', async (t) => {
  const items = Array.from({ length: 50 }, (_, i) => i)
  const one = shuffle(items, 1)
  t.same(shuffle(items, 1), one)
  t.strictNotSame(shuffle(items, 2), one)
  t.strictNotSame(one, items)
  t.same(
    one.toSorted((a, b) => a - b),
    items
  )
  t.equal(seedOf(7, 1), seedOf(7, 1))
  t.equal(new Set(Array.from({ length: 1_000 }, (_, run) => seedOf(7, run))).size, 1_000)
})

const record = (run: number, files: Record<string, Partial<FileRecord>>): RunRecord => ({
  ...{ run, commit: 'c', dirty: false, hog: false, seed: 1, runSeed: run, startedAt: '', seconds: 1 },
  options: { args: [], jobs: 1, slowFsync: false, faults: false },
  files: Object.fromEntries(
    Object.entries(files).map(([path, file]) => [
      path,
      { passed: 0, failed: 0, skipped: 0, seconds: 1, faults: [], assertions: {}, ...file }
    ])
  )
})

t.test('what failed or differed is told, and nothing of what was equal', async (t) => {
  const good = { 'a.test.ts': { assertions: { adds: [2, 0, 0] } } } satisfies Record<string, Partial<FileRecord>>
  t.same(compareRuns([record(1, good), record(2, good)]), [])
  const measured = (...names: string[]) => ({
    'a.test.ts': { assertions: Object.fromEntries(names.map((name) => [name, [1, 0, 0] as [number, number, number]])) }
  })
  const id = (end: string) => `01m8m7rg25sc8fxcz88sx8be${end}`
  t.same(
    compareRuns([
      record(1, measured('17 of 40', 'by 1.25', `GET /posts/${id('6q')} > 404`, 'kills > {"GET":1,"POST":2}')),
      record(2, measured('9 of 40', 'by 2', `GET /posts/${id('zz')} > 404`, 'kills > {"POST":1,"GET":2}'))
    ]),
    [],
    'figures and ids in names, and what an assertion says that it found, are another in each run'
  )
  t.same(compareRuns([record(1, measured('17 of 40')), record(2, measured('17 of 40', '18 of 40'))]), [
    'a.test.ts',
    '  the file itself asserted 1 times in run 1, 2 times in run 2'
  ])
  const lines = compareRuns([
    record(1, {
      'a.test.ts': { assertions: { 'sums > adds': [2, 0, 0], 'late > waits': [3, 0, 0], 'late > skips': [1, 0, 0] } },
      'b.test.ts': {}
    }),
    record(2, {
      'a.test.ts': { assertions: { 'sums > adds': [1, 1, 0], 'late > waits': [5, 0, 0], 'late > skips': [0, 0, 1] } }
    }),
    record(3, {
      'a.test.ts': {
        assertions: {
          'sums > adds': [2, 0, 0],
          'late > waits': [3, 0, 0],
          'late > skips': [1, 0, 0],
          'more 3 > is there': [1, 0, 0]
        }
      },
      'b.test.ts': { faults: ['it was ended by SIGSEGV'] }
    })
  ])
  t.same(lines, [
    'a.test.ts',
    '  "sums > adds" failed in run 2 of 3',
    '  "late > skips" was skipped in run 2 of 3',
    '  "late" asserted 4 times in runs 1, 3, 6 times in run 2',
    '  "more N" asserted 0 times in runs 1, 2, 1 times in run 3',
    'b.test.ts',
    '  was run only in runs 1, 3 of 3',
    '  run 3: it was ended by SIGSEGV'
  ])
  t.same(
    compareRuns([
      record(1, { a: { assertions: { x: [0, 1, 0] } } }),
      record(2, { a: { assertions: { x: [0, 1, 0] } } })
    ]),
    ['a', '  "x" failed in runs 1, 2 of 2'],
    'what fails always is told too'
  )
})

/** A checkout in git whose second test passes except in the run of which the file `fails` has the number. */
async function checkout(t: { testdir(): string }) {
  const folder = t.testdir()
  await fixtureRepo(folder, {
    'apps/one/test/counts.test.ts': `
      import { appendFileSync, existsSync, readFileSync } from 'node:fs'
      appendFileSync('../../made.log', 'run\\n')
      const run = readFileSync('../../made.log', 'utf8').split('\\n').length - 1
      const fails = existsSync('../../fails') ? Number(readFileSync('../../fails', 'utf8')) : 0
      t.ok(run !== fails, 'is not the run that fails')`,
    'packages/two/test/equal.test.ts': `t.equal(1, 1, 'one is one')`
  })
  await writeFile(join(folder, '.gitignore'), 'node_modules\nmade.log\nfails\nhome\n')
  const git = (...args: string[]) => promisify(execFile)('git', args, { cwd: folder })
  await git('init', '-q')
  await git('add', '-A')
  await git('-c', 'user.name=Test', '-c', 'user.email=test@example.com', 'commit', '-q', '-m', 'all')
  const said: string[] = []
  const repeat = (more: Partial<RepeatOptions> = {}) => {
    said.length = 0
    return repeatTests({
      ...{ repo: folder, home: join(folder, 'home'), args: [], jobs: 2, runs: 2, hogRuns: 0, slowFsync: false },
      ...{ faults: false, again: false, signal: new AbortController().signal, say: (line) => void said.push(line) },
      ...more
    })
  }
  const made = async () => (await readFile(join(folder, 'made.log'), 'utf8').catch(() => '')).split('\n').length - 1
  return { folder, repeat, said: () => said.join('\n'), made }
}

t.test('runs are recorded, and only those that are missing are run again', async (t) => {
  const { folder, repeat, said, made } = await checkout(t)
  t.equal(await repeat({ seed: 42 }), 0, said())
  t.match(said(), /2 runs, all green and equal: 2 passed, 0 failed, 0 skipped/)
  t.equal(await made(), 2)
  const { name, commit } = await stateOf(folder)
  const path = join(folder, 'home/repeat', name, 'series-001/run-02.json')
  t.match(JSON.parse(await readFile(path, 'utf8')), {
    ...{ commit, dirty: false, run: 2, hog: false, seed: 42, runSeed: seedOf(42, 2) },
    files: {
      'apps/one/test/counts.test.ts': { passed: 1, failed: 0, assertions: { 'is not the run that fails': [1, 0, 0] } }
    }
  })
  t.equal(await repeat({ runs: 3 }), 0, said())
  t.match(said(), /--seed 42;[\s\S]*run 1 of 3 is recorded[\s\S]*run 2 of 3 is recorded[\s\S]*run 3 of 3: 2 passed/)
  t.equal(await made(), 3, 'it went on where it was')

  await writeFile(join(folder, 'packages/two/test/equal.test.ts'), `import t from 'tap'\nt.equal(2, 2, 'two is two')\n`)
  t.match(await stateOf(folder), { commit, dirty: true, name: /-dirty-/ })
  t.equal(await repeat({ runs: 1, hogRuns: 1 }), 0, said())
  t.match(said(), /run 1 of 1, beside the hog/)
  t.equal(await made(), 4, 'other sources are another series')
  t.equal(await repeat({ runs: 1 }), 0, said())
  t.equal(await made(), 5, 'without the hog it is another run')
})

t.test('a run that fails once is told of, with what it said, and seen again without running', async (t) => {
  const { folder, repeat, said, made } = await checkout(t)
  await writeFile(join(folder, 'fails'), '2')
  t.equal(await repeat(), 1)
  t.match(said(), /not ok is not the run that fails/)
  t.match(said(), /apps\/one\/test\/counts\.test\.ts\n {2}"is not the run that fails" failed in run 2 of 2/)
  t.equal(await repeat(), 1)
  t.equal(await made(), 2)
  t.equal(await repeat({ again: true, args: ['two'] }), 0, said())
  t.equal(await made(), 2, 'the other package alone')
})

t.test('the hog keeps cores busy until it is stopped, or its parent is gone', async (t) => {
  const hog = startHog(3)
  t.equal(hog.pids.length, 3)
  for (const pid of hog.pids) t.ok(await runs(pid))
  await hog.stop()
  for (const pid of hog.pids) t.notOk(await runs(pid))

  const module = join(import.meta.dirname, '../src/test-repeat/hog.ts')
  const program = `const { startHog } = await import('${module}'); console.log(startHog(1).pids[0]); setInterval(() => {}, 1000)`
  const parent = spawn(process.execPath, ['--input-type=module', '-e', program], {
    stdio: ['ignore', 'pipe', 'inherit']
  })
  const [line] = await once(parent.stdout, 'data')
  const pid = Number(line)
  t.ok(await runs(pid))
  parent.kill('SIGKILL')
  await waitFor(async () => !(await runs(pid)), { message: 'the orphan has ended' })
})

t.test('fsync of what carries the mark is delayed', skipWithout(await missingStrace()), async (t) => {
  const { mark, env } = newMark('fsync-test')
  const program = `
    const { openSync, fsyncSync, writeSync } = require('node:fs')
    const file = openSync(process.argv[1], 'w')
    process.stdin.on('data', () => {
      writeSync(file, 'x')
      const before = performance.now()
      fsyncSync(file)
      console.log(performance.now() - before)
    })`
  const path = join(t.testdir(), 'file')
  const child = spawn(process.execPath, ['-e', program, path], { stdio: 'pipe', env: { ...process.env, ...env } })
  t.teardown(() => child.kill('SIGKILL'))
  const other = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' })
  t.teardown(() => other.kill('SIGKILL'))
  const slow = slowFsync(mark, /node/)
  const tracer = async (pid: number) => /TracerPid:\s+(\d+)/.exec(await readFile(`/proc/${pid}/status`, 'utf8'))?.[1]
  await waitFor(async () => (await tracer(child.pid!)) !== '0', { message: `it is traced: ${slow.faults}` })
  t.equal(await tracer(other.pid!), '0', 'what has no mark is left alone')
  child.stdin.write('go')
  const [took] = await once(child.stdout, 'data')
  t.ok(Number(took) >= 20, `${took} ms, of which 20 are strace's`)
  await slow.stop()
  t.equal(await tracer(child.pid!), '0')
  t.same(slow.faults, [])
})
