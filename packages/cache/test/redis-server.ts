import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { findBinary, freePort, REDIS } from '@skerry/stores'
import { binCache } from '@skerry/testing'

/** A Redis of one test alone, to be killed, frozen and started again. */
export type RedisServer = {
  readonly url: string
  start(): Promise<void>
  /** `kill -9`, and waits for the end. */
  kill(): Promise<void>
  /** It accepts connections and answers nothing. */
  freeze(): void
  thaw(): void
}

/** Starts one on a free port; it ends with the test. */
export async function startRedisServer(t: { teardown(work: () => Promise<void>): unknown }): Promise<RedisServer> {
  const folder = await mkdtemp(join(tmpdir(), 'skerry-redis-'))
  const { path } = await findBinary(REDIS, binCache(), (line) => process.stderr.write(`# ${line}\n`))
  const port = await freePort()
  let child: ChildProcess | undefined

  const server: RedisServer = {
    url: `redis://127.0.0.1:${port}`,
    async start() {
      const args = ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--dir', folder]
      child = spawn(path, args, { stdio: ['ignore', 'pipe', 'ignore'] })
      const { stdout } = child
      if (stdout === null) throw new Error('no output to read')
      for await (const chunk of stdout.iterator({ destroyOnReturn: false })) {
        if (String(chunk).includes('Ready to accept connections')) break
      }
      stdout.resume()
    },
    async kill() {
      if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
      const gone = once(child, 'exit')
      child.kill('SIGKILL')
      await gone
    },
    freeze: () => void child?.kill('SIGSTOP'),
    thaw: () => void child?.kill('SIGCONT')
  }
  t.teardown(async () => {
    server.thaw()
    await server.kill()
    await rm(folder, { recursive: true, force: true })
  })
  await server.start()
  return server
}
