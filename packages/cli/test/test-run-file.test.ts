import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { waitFor } from '@skerry/testing'
import t from 'tap'
import { findProcesses } from '../src/test-run/processes.ts'
import { failureText } from '../src/test-run/report.ts'
import { runs } from './helpers/cli.ts'
import { runSource } from './helpers/fixture-repo.ts'

/** A process in a session of its own, as stores are, that is told to nobody and never ends; its pid is written to `pid`. */
const LEFT = `
import { spawn } from 'node:child_process'
import { writeFileSync } from 'node:fs'
const left = spawn(process.execPath, ['-e', 'process.on("SIGTERM", () => {}); setInterval(() => {}, 1000)'], { detached: true, stdio: 'ignore' })
left.unref()
writeFileSync('pid', String(left.pid))`

const pidIn = async (folder: string) => Number(await readFile(join(folder, 'apps/one/pid'), 'utf8'))

t.test('a file that passes: its assertions are counted, those of subtests too, and once', async (t) => {
  const result = await runSource(
    t.testdir(),
    `t.ok(true, 'first')
     t.test('outer', async (t) => {
       t.ok(true, 'same')
       t.ok(true, 'same')
       t.test('inner', async (t) => t.equal(1, 1, 'deep'))
     })
     t.test('asserts by not throwing', async () => {})`
  )
  t.match(result, { passed: 5, failed: 0, skipped: [], faults: [] })
  t.same(Object.fromEntries(result.assertions), {
    first: { passed: 1, failed: 0, skipped: 0 },
    'outer > same': { passed: 2, failed: 0, skipped: 0 },
    'outer > inner > deep': { passed: 1, failed: 0, skipped: 0 },
    'asserts by not throwing': { passed: 1, failed: 0, skipped: 0 }
  })
})

t.test(
  'a file that fails: its failing assertions and its standard error are shown, and nothing that passed',
  async (t) => {
    const result = await runSource(
      t.testdir(),
      `console.error('a word of the server')
     console.log('not TAP at all')
     t.test('adds', async (t) => {
       t.equal(2, 2, 'this is right')
       t.equal(1 + 1, 3, 'this is wrong')
     })
     t.test('throws', async () => { throw new Error('boom') })`
    )
    t.match(result, { passed: 1, failed: 2, faults: [] })
    const text = failureText(result)
    t.match(text, /✗ apps\/one\/test\/it\.test\.ts/)
    t.match(text, /not ok adds > this is wrong[\s\S]*-3\n\s*\+2/)
    t.match(text, /not ok throws > boom/)
    t.match(text, /standard error:\n\s+a word of the server/)
    t.match(text, /standard output:\n\s+not TAP at all/)
    t.match(text, /alone: npm test -- apps\/one\/test\/it\.test\.ts/)
    t.notMatch(text, /not ok adds > this is right/)
    t.equal(text.match(/^ {2}not ok /gm)?.length, 2)
  }
)

t.test('a subtest that fails although none of its assertions did is one failure', async (t) => {
  const result = await runSource(t.testdir(), `t.test('plans two', async (t) => { t.plan(2); t.ok(true, 'one') })`)
  t.same([result.failed, result.faults], [1, []])
})

t.test('skipped tests are named with their reasons, and those to do are no less', async (t) => {
  const result = await runSource(
    t.testdir(),
    `t.test('a subtest', { skip: 'needs strace' }, async (t) => t.fail('never'))
     t.test('another', async (t) => t.ok(true, 'a line', { skip: 'not on Tuesdays' }))
     t.test('silent', { skip: true }, async () => {})
     t.ok(false, 'later', { todo: 'when it rains' })`
  )
  t.match(result, { passed: 0, failed: 0, faults: [] })
  t.same(result.skipped, [
    { name: 'a subtest', why: 'needs strace' },
    { name: 'another > a line', why: 'not on Tuesdays' },
    { name: 'silent', why: 'no reason given' },
    { name: 'later', why: 'to do: when it rains' }
  ])
  const whole = await runSource(t.testdir(), `t.plan(0, 'no such server here')`)
  t.match(whole, { failed: 0, skipped: [{ name: 'all of it', why: 'no such server here' }], faults: [] })
})

t.test('a file that asserts nothing has failed', async (t) => {
  t.match(await runSource(t.testdir(), ''), { passed: 0, failed: 0, faults: ['no assertion was made'] })
})

t.test('a file that crashes has failed, whatever it said before', async (t) => {
  const crash = await runSource(t.testdir(), `t.ok(true); await new Promise((r) => setImmediate(r)); process.exit(7)`)
  t.match(crash, { passed: 1, failed: 0, faults: ['it ended with exit code 7'] })
  const killed = await runSource(t.testdir(), `t.ok(true); process.kill(process.pid, 'SIGKILL')`)
  t.same(killed.faults, ['it was ended by SIGKILL'])
  const syntax = await runSource(t.testdir(), `t.ok(;`)
  t.same(syntax.faults, ['it ended with exit code 1'])
  t.match(syntax.errors, /SyntaxError/)
})

t.test('a file that does not end is ended when its time is over', async (t) => {
  const result = await runSource(t.testdir(), `t.ok(true)\nfor (;;);`, { timeoutS: 1 })
  t.same(result.faults, ['it did not end within 1 s'])
})

t.test('a file may set its time itself, as with the runner of tap; all that it started is ended with it', async (t) => {
  const folder = t.testdir()
  const result = await runSource(
    folder,
    `${LEFT}
     t.ok(true)
     t.setTimeout(500)
     await new Promise((resolve) => setImmediate(resolve))
     for (;;);`,
    { timeoutS: 600 }
  )
  t.same(result.faults, ['it did not end within 0.5 s'])
  const left = await pidIn(folder)
  // It has been killed; the system takes a moment to be done with it.
  await waitFor(async () => !(await runs(left)), { message: 'nothing is left of it' })
})

t.test('what a file leaves running is its fault, and is ended', async (t) => {
  const folder = t.testdir()
  const result = await runSource(folder, `${LEFT}\nt.ok(true)`)
  const pid = await pidIn(folder)
  t.equal(result.faults.length, 1)
  t.match(result.faults[0], new RegExp(`it left process ${pid} running: .*setInterval`))
  await waitFor(async () => !(await runs(pid)))
})

t.test('an interruption ends the file that runs and what it started', async (t) => {
  const folder = t.testdir()
  const controller = new AbortController()
  const running = runSource(folder, `${LEFT}\nt.ok(true)\nawait new Promise(() => setInterval(() => {}, 1000))`, {
    signal: controller.signal
  })
  let pid = 0
  await waitFor(async () => {
    pid = await pidIn(folder).catch(() => 0)
    return pid > 0
  })
  t.ok(await runs(pid))
  controller.abort()
  const { faults } = await running
  t.same(faults, ['it was ended by SIGTERM'])
  await waitFor(async () => !(await runs(pid)))
})

t.test('a mark within another is found by both', async (t) => {
  const folder = t.testdir()
  const controller = new AbortController()
  const running = runSource(folder, `${LEFT}\nt.ok(true)\nawait new Promise(() => setInterval(() => {}, 1000))`, {
    signal: controller.signal,
    env: { SKERRY_TEST_MARK: 'outer' }
  })
  await waitFor(async () => (await pidIn(folder).catch(() => 0)) > 0)
  const pid = await pidIn(folder)
  t.ok((await findProcesses('outer')).some((p) => p.pid === pid))
  t.notOk(
    (await findProcesses('oute')).some((p) => p.pid === pid),
    'a mark is not its beginning'
  )
  controller.abort()
  await running
  // It was told to end, which a kernel does a moment later.
  await waitFor(async () => (await findProcesses('outer')).length === 0)
})
