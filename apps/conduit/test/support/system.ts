import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { childEnv, startSystem, waitFor } from '@skerry/testing'
import t from 'tap'
import { frontEnd } from './front-end.ts'

/**
 * The system that the parts of `system.test.ts` share. Conduit is a process of the test's own, so that it can be away while all else runs.
 * Access tokens are always about to expire: each request of somebody signed in renews them first.
 */
export const system = await startSystem(t, { env: { CHECK_RESPONSES: 'true', ACCESS_TTL_S: '20' } })
export const base = `${system.url}/conduit/api`
export const anybody = frontEnd(base)
const env = { ...childEnv(), ...(await system.envFor('conduit')), CHECK_RESPONSES: 'true', LOG_LEVEL: 'error' }

/** As the CLI has it: a busy machine may take longer to answer than a service that starts waits for. */
const TRIES = 3

/** An instance: the base of its own URLs, and two ways to end it. */
export type Instance = { base: string; stop(): Promise<number | null>; kill(): Promise<unknown> }

/** Starts an instance of Conduit and waits until the gateway has its routes. */
export async function startConduit(instance = '1', tries = TRIES): Promise<Instance> {
  const child: ChildProcess = fork(join(import.meta.dirname, '../../src/main.ts'), [], {
    env: { ...env, SKERRY_INSTANCE: instance, PORT: '0', DRAIN_MS: '0', IDLE_KEPT_MS: '0', API_FROM: '127.0.0.2' },
    execArgv: []
  })
  const exited = once(child, 'exit').then(([code]) => code as number | null)
  async function end(signal: NodeJS.Signals): Promise<number | null> {
    if (child.exitCode === null && child.signalCode === null) child.kill(signal)
    return exited
  }
  t.teardown(() => end('SIGTERM'))
  const ready = await Promise.race([once(child, 'message'), exited.then(() => undefined)])
  if (ready === undefined) {
    if (tries > 1) return startConduit(instance, tries - 1)
    throw new Error('conduit ended before it was ready')
  }
  await waitFor(async () => (await anybody('GET', '/tags')).status === 200, { message: 'the gateway knows conduit' })
  const [{ url }] = ready as [{ url: string }]
  return { base: `${url}/conduit/api`, stop: () => end('SIGTERM'), kill: () => end('SIGKILL') }
}

export const conduit = await startConduit()
