import { chmod } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { missingCommand, skipWithout } from '../src/index.ts'

t.test('what is missing skips a test with its reason, and fails it in CI', async (t) => {
  t.same(skipWithout(undefined, {}), { skip: false })
  t.same(skipWithout(undefined, { CI: 'true' }), { skip: false })
  for (const CI of [undefined, '', '0', 'false']) t.same(skipWithout('no strace', { CI }), { skip: 'no strace' })
  for (const CI of ['true', '1']) t.throws(() => skipWithout('no strace', { CI }), /nothing may be skipped: no strace/)
})

t.test('a command is looked for on PATH', async (t) => {
  const folder = t.testdir({ first: {}, second: { tool: '#!/bin/sh', notes: 'cannot be run' } })
  await chmod(join(folder, 'second/tool'), 0o755)
  const path = `${join(folder, 'first')}:${join(folder, 'second')}`
  t.equal(await missingCommand('tool', 'tools', path), undefined)
  t.equal(await missingCommand('notes', 'tools', path), 'there is no notes: apt-get install tools')
  t.equal(await missingCommand('tool', 'tools', join(folder, 'first')), 'there is no tool: apt-get install tools')
})
