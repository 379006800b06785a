import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile, rm } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { makeDataFolder } from './data-folder.ts'
import { loadStores } from './load.ts'
import { binCache, childEnv } from './use-stores.ts'
import { waitFor } from './wait.ts'

const REPOSITORY = resolve(import.meta.dirname, '../../..')

/** `.skerry/run.json` as `./skerry up` keeps it. */
export type RunFile = {
  gateway: string
  processes: { name: string; instance: string; pid: number; url: string; ops: string | null }[]
}

/** A whole Skerry, started by the CLI as a user would, in a home of its own. */
export type System = {
  readonly home: string
  readonly cli: ChildProcess
  /** Base URL of the gateway. */
  readonly url: string
  /** All that the CLI has printed. */
  output(): string
  /** The run file as it is now. */
  run(): Promise<RunFile>
  /** Sends a signal to a part, by its name and instance in the run file; resolves with its pid. */
  kill(name: string, instance: string, signal?: NodeJS.Signals): Promise<number>
  /** Waits until a part runs under another pid than `pid`, and the part is in the run file. */
  restarted(name: string, instance: string, pid: number): Promise<void>
  /** What an app that the CLI did not start needs to take part: its stores and the gateway, as the CLI would tell it. */
  envFor(app: string): Promise<Record<string, string>>
  /** SIGINT, as Ctrl-C; resolves with the exit code. */
  stop(): Promise<number | null>
}

/** What systems of tests have in common: binaries, and compiled sources, so that each starts as fast as a second start. */
function shared(): { SKERRY_BIN: string; NODE_COMPILE_CACHE: string } {
  return { SKERRY_BIN: binCache(), NODE_COMPILE_CACHE: childEnv().NODE_COMPILE_CACHE }
}

/** A test's system brings its own stores, whatever the developer's shell names. */
function withoutStores({ MONGO_URL, NATS_URL, REDIS_URL, ...env }: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return env
}

/** All clients of a test share the address of this machine, and are many. A test of limits by address says otherwise. */
const UNLIMITED = { LIMIT_EXEMPT: '127.0.0.0/8,::1/128' }
/** A machine that is busy with other tests is no overload: what is shed for it has tests of its own, which have gateways of their own. */
const UNHURRIED = { PRESSURE_TARGET_MS: '60000', CONCURRENCY_MIN: '1000' }
/** With one instance of each service nobody takes over from one that leaves, so there is nothing to drain for. */
const HASTY = { DRAIN_MS: '50' }

type Tap = { teardown(work: () => Promise<void>): unknown }

/**
 * Starts the whole system through the CLI on free ports and waits until it says that all is ready.
 *
 * @param options `home` to start again on earlier data; `env` for the CLI; `args` after `up`; `repository` to start another checkout;
 *   `sheds`: the gateway refuses what the machine is too busy for, as it does for users
 */
export async function startSystem(
  t: Tap,
  options: { home?: string; env?: Record<string, string>; args?: string[]; repository?: string; sheds?: boolean } = {}
): Promise<System> {
  const home = options.home ?? (await makeDataFolder('skerry-system-'))
  const repository = options.repository ?? REPOSITORY
  const main = join(repository, 'packages/cli/src/main.ts')
  // tap puts its own loader into NODE_OPTIONS of every child; a user's system has none.
  const command = ['-u', 'NODE_OPTIONS', process.execPath, main, 'up', ...(options.args ?? [])]
  const cli = spawn('env', command, {
    cwd: repository,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      ...withoutStores(process.env),
      SKERRY_HOME: home,
      ...shared(),
      ...UNLIMITED,
      ...(options.sheds ? {} : UNHURRIED),
      ...(options.args?.includes('--scale') ? {} : HASTY),
      PORT: '0',
      ...options.env
    }
  })
  let text = ''
  for (const stream of [cli.stdout, cli.stderr]) stream?.on('data', (chunk: Buffer) => (text += chunk))
  const exited = once(cli, 'exit')

  async function stop(): Promise<number | null> {
    if (cli.exitCode === null && cli.signalCode === null) {
      cli.kill('SIGINT')
      await exited
    }
    return cli.exitCode
  }

  t.teardown(async () => {
    await stop()
    if (options.home === undefined) await rm(home, { recursive: true, force: true })
  })
  const run = async (): Promise<RunFile> => JSON.parse(await readFile(join(home, 'run.json'), 'utf8'))
  await waitFor(
    () => {
      if (cli.exitCode !== null || cli.signalCode !== null) throw new Error(`./skerry up ended:\n${text}`)
      // The last that it prints before a demo: a test that reads the output finds all of it, however it was cut into chunks.
      return /^Ready in /m.test(text) && /^ *curl .*\n/m.test(text)
    },
    { timeoutMs: 240_000, message: './skerry up is ready' }
  )
  const find = async (name: string, instance: string) =>
    (await run()).processes.find((p) => p.name === name && p.instance === instance)
  return {
    home,
    cli,
    url: (await run()).gateway,
    output: () => text,
    run,
    async kill(name, instance, signal = 'SIGKILL') {
      const found = await find(name, instance)
      if (found === undefined) throw new Error(`${name} ${instance} does not run`)
      process.kill(found.pid, signal)
      return found.pid
    },
    async restarted(name, instance, pid) {
      await waitFor(
        async () => {
          if (cli.exitCode !== null || cli.signalCode !== null) throw new Error(`skerry up ended:\n${text}`)
          return ((await find(name, instance))?.pid ?? pid) !== pid
        },
        { timeoutMs: 180_000, message: `${name} ${instance} is back` }
      )
    },
    async envFor(app) {
      const { mongoUrl, readSecrets } = await loadStores()
      const password = (await readSecrets(home))?.apps[app]
      if (password === undefined) throw new Error(`${app} is not an app of this system`)
      const { gateway, processes } = await run()
      const address = (name: string) => processes.find((p) => p.name === name)?.url ?? `${name} does not run`
      return {
        MONGO_URL: mongoUrl(Number(address('mongod').split(':').at(-1)), app, password),
        MONGO_DATABASE: `skerry_${app}`,
        NATS_URL: `nats://${address('nats-server')}`,
        NATS_USER: app,
        NATS_PASSWORD: password,
        REDIS_URL: `redis://${app}:${password}@${address('redis')}`,
        REDIS_PREFIX: `${app}:`,
        API_URL: gateway
      }
    },
    stop
  }
}
