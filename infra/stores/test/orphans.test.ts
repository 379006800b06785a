import { fork } from 'node:child_process'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { tether } from '../src/tether.ts'
import { lives, start, temporaryHome, until } from './support/home.ts'

async function abandoned(home: string, ...args: string[]): Promise<number[]> {
  const parent = fork(join(import.meta.dirname, 'support/abandon.ts'), [home, ...args])
  const [pids] = (await once(parent, 'message')) as [number[]]
  const exited = once(parent, 'exit')
  parent.kill('SIGKILL')
  await exited
  return pids
}

t.test('what a killed run leaves behind is ended at the next start', async (t) => {
  const home = await temporaryHome(t)
  const pids = await abandoned(home, 'untied')
  for (const pid of pids) t.ok(await lives(pid), 'without setpriv they outlive it')
  const said: string[] = []
  const stores = await start(t, home, { say: (line) => said.push(line) })
  for (const pid of pids) {
    t.notOk(await lives(pid))
    t.ok(said.some((line) => line.includes(`ending process ${pid}, left by an earlier run`)))
  }
  t.equal(stores.parts.length, 3)
})

t.test('where the system can, the stores end with the process that started them', async (t) => {
  if (tether().length === 0) return void t.pass('this one has no setpriv')
  const pids = await abandoned(await temporaryHome(t))
  for (const pid of pids) await until(async () => !(await lives(pid)), `${pid} has ended`)
  t.equal(pids.length, 3)
})

t.test('a pid that now belongs to somebody else is left alone', async (t) => {
  const home = await temporaryHome(t)
  await writeFile(join(home, 'mongod.pid'), String(process.pid))
  await writeFile(join(home, 'redis.pid'), 'nonsense')
  const said: string[] = []
  await start(t, home, { say: (line) => said.push(line) })
  t.same(said, [])
})
