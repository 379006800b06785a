import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { makeDataFolder } from './data-folder.ts'
import { loadStores } from './load.ts'
import { binCache } from './use-stores.ts'
import { waitFor } from './wait.ts'

/** A NATS server of one test alone, configured as the one of `./skerry up`, for what the shared one can't be put through. */
export type TestNats = {
  readonly url: string
  readonly user: string
  readonly password: string
  /**
   * Ends the server and starts it again on its port, with what its data folder holds by then. `whileDown` gets that folder, to copy,
   * replace or empty it.
   */
  restart(signal: 'SIGTERM' | 'SIGKILL', whileDown?: (data: string) => Promise<void>): Promise<void>
}

type Tap = { teardown(work: () => Promise<void>): unknown }

/** Starts it on a free port with an empty data folder; the test's end stops it and removes the folder. */
export async function startTestNats(t: Tap): Promise<TestNats> {
  const { findBinary, freePort, loadSecrets, NATS_SERVER, natsConfig, tether } = await loadStores()
  const home = await makeDataFolder('skerry-nats-')
  const { path } = await findBinary(NATS_SERVER, binCache(), (line) => process.stderr.write(`# ${line}\n`))
  const port = await freePort()
  const data = join(home, 'data', 'nats')
  await mkdir(data, { recursive: true })
  const secrets = await loadSecrets(home, [])
  const config = join(home, 'nats.json')
  await writeFile(config, natsConfig({ home, port, secrets, apps: [], testAccounts: 1 }))
  const log = join(home, 'nats.log')
  let child: ChildProcess

  async function start(): Promise<void> {
    const file = openSync(log, 'a')
    const [command, ...args] = [...tether(), path, '-c', config]
    const started = spawn(command!, args, { stdio: ['ignore', file, file] })
    closeSync(file)
    child = started
    await waitFor(
      async () => {
        if (started.exitCode !== null)
          throw new Error(`nats-server ended:\n${(await readFile(log, 'utf8')).slice(-2_000)}`)
        return greets(port)
      },
      { message: 'nats-server answers' }
    )
  }

  async function end(signal: NodeJS.Signals): Promise<void> {
    if (child.exitCode !== null || child.signalCode !== null) return
    const exited = once(child, 'exit')
    child.kill(signal)
    await exited
  }

  t.teardown(async () => {
    await end('SIGKILL')
    await rm(home, { recursive: true, force: true })
  })
  await start()
  return {
    url: `nats://127.0.0.1:${port}`,
    user: 'test0',
    password: 'test0',
    async restart(signal, whileDown) {
      await end(signal)
      await whileDown?.(data)
      await start()
    }
  }
}

/** A NATS server speaks first. */
function greets(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1', timeout: 1_000 })
    const answer = (greeted: boolean) => {
      socket.destroy()
      resolve(greeted)
    }
    socket.once('data', (data) => answer(data.toString().startsWith('INFO')))
    socket.once('timeout', () => answer(false))
    socket.once('error', () => answer(false))
  })
}
