import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { hasRoom, keepFile, onlyChanges, openLog } from '../src/index.ts'
import { until } from './support/home.ts'

t.test('a file that cannot be written is told once, and written with the newest text when it can be', async (t) => {
  const folder = join(t.testdir({}), 'later')
  const path = join(folder, 'run.json')
  const said: string[] = []
  const file = keepFile(path, (line) => said.push(line), 5)
  for (const text of ['one', 'two', 'three']) await file.set(text)
  t.match(said, [/^.*run\.json cannot be written \(ENOENT.*\); it is tried again until it can$/], 'once')
  await mkdir(folder)
  await until(() => said.length > 1, 'it is told that it is written')
  t.same(said.slice(1), [`${path} is written again`])
  t.equal(await readFile(path, 'utf8'), 'three')
  t.same(await readdir(folder), ['run.json'], 'nothing half written is left')
  await rm(folder, { recursive: true })
  await file.set('four')
  t.equal(said.length, 3, 'a new failure is told again')
  await file.end()
})

t.test('at its end it gives up what was put off, and writes nothing after it', async (t) => {
  const folder = join(t.testdir({}), 'later')
  const said: string[] = []
  const file = keepFile(join(folder, 'run.json'), (line) => said.push(line), 5)
  await file.set('text')
  await file.end()
  await mkdir(folder)
  await file.set('more')
  t.same(await readdir(folder), [])
  t.equal(said.length, 1)
})

t.test('whether a folder takes a file now, and a log without a place', async (t) => {
  const folder = t.testdir({})
  t.equal(await hasRoom(folder), true)
  t.same(await readdir(folder), [], 'nothing is left')
  t.equal(await hasRoom('/proc'), false)
  t.equal(await hasRoom(join(folder, 'not-there')), false)
  t.equal(openLog(join(folder, 'not-there', 'x.log')).stdio, 'ignore')
  await writeFile(join(folder, 'x.log'), 'before\n')
  const log = openLog(join(folder, 'x.log'))
  t.type(log.stdio, 'number')
  log.close()
  t.equal(await readFile(join(folder, 'x.log'), 'utf8'), 'before\n')
})

t.test('a state that lasts is told once', (t) => {
  const said: string[] = []
  const tell = onlyChanges((line) => said.push(line))
  for (const line of ['away', 'away', 'back', 'away']) tell(line)
  t.same(said, ['away', 'back', 'away'])
  t.end()
})
