import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { findBinary, freePort, NATS_SERVER } from '@skerry/stores'
import { binCache } from '@skerry/testing'
import type { Test } from 'tap'
import { connectNats, type NatsConnection } from '../../src/index.ts'

/**
 * A nats-server of one test alone, which may be killed and started again on the same port and files. `widgets` may do what a service may,
 * `auth` also writes the identity bucket, `gateway` only reads, `admin` may all.
 */
export async function startNatsServer(t: Test) {
  const home = await mkdtemp(join(tmpdir(), 'skerry-nats-'))
  const port = await freePort()
  const { path } = await findBinary(NATS_SERVER, binCache(), () => undefined)
  const config = join(home, 'nats.json')
  const user = (name: string, publish: string[]) => ({
    user: name,
    password: 'secret',
    permissions: { publish: { allow: publish }, subscribe: { allow: [`_INBOX_${name}.>`] } }
  })
  const read = ['INFO', 'STREAM.INFO.*', 'CONSUMER.>', 'DIRECT.GET.>'].map((api) => `$JS.API.${api}`).concat('$JS.FC.>')
  const make = ['$JS.API.STREAM.CREATE.KV_registry', '$JS.API.STREAM.CREATE.KV_identity']
  const users = [
    user('widgets', [...read, ...make, '$KV.registry.widgets.>']),
    user('auth', [...read, ...make, '$KV.registry.auth.>', '$KV.identity.>']),
    user('gateway', read),
    { user: 'admin', password: 'secret' }
  ]
  await writeFile(
    config,
    JSON.stringify({ host: '127.0.0.1', port, jetstream: { store_dir: home }, authorization: { users } })
  )

  const launch = () => spawn(path, ['-c', config], { stdio: 'ignore' })
  let child = launch()
  const kill = async () => {
    if (child.exitCode !== null || child.signalCode !== null) return
    const exited = once(child, 'exit')
    child.kill('SIGKILL')
    await exited
  }
  const connections: NatsConnection[] = []
  t.teardown(async () => {
    await Promise.all(connections.map((nc) => nc.close()))
    await kill()
    await rm(home, { recursive: true, force: true })
  })
  return {
    url: `nats://127.0.0.1:${port}`,
    kill,
    start() {
      child = launch()
    },
    /** A connection that is closed when the test ends. */
    async connect(name: 'widgets' | 'auth' | 'gateway' | 'admin') {
      const nc = await connectNats({ url: `nats://127.0.0.1:${port}`, user: name, password: 'secret', name })
      connections.push(nc)
      return nc
    }
  }
}
