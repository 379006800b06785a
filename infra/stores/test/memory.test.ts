import { spawn } from 'node:child_process'
import { once } from 'node:events'
import t from 'tap'
import { memoryOf } from '../src/index.ts'

const HELD = 64 * 1024 * 1024
/** Holds memory of its own, and where it is told to has another that does; says the id of that one when both have theirs. */
const HOLDER = `
  const { spawn } = require('node:child_process')
  globalThis.held = Buffer.alloc(${HELD}, 1)
  if (process.argv[1] === 'alone') console.log(process.pid)
  else spawn(process.execPath, ['-e', process._eval, 'alone'], { stdio: 'inherit' })
  setInterval(() => {}, 1_000)
`

t.test('memory of processes', { skip: process.platform !== 'linux' }, async (t) => {
  const outer = spawn(process.execPath, ['-e', HOLDER, 'both'], { stdio: ['ignore', 'pipe', 'inherit'] })
  const exited = once(outer, 'exit')
  const [line] = (await once(outer.stdout, 'data')) as [Buffer]
  const inner = Number(line)
  t.teardown(async () => {
    process.kill(inner, 'SIGKILL')
    outer.kill('SIGKILL')
    await exited
  })
  const both = await memoryOf([outer.pid!])
  const one = await memoryOf([inner])
  t.ok(one >= HELD && one < 2 * HELD + 64e6, 'bytes of one', { one })
  t.ok(both >= 2 * HELD, 'with those that it has started', { both })
  t.ok((await memoryOf([outer.pid!, inner])) < both + HELD, 'each counted once')
  t.equal(await memoryOf([2 ** 30]), 0, 'one that has gone has none')
})
