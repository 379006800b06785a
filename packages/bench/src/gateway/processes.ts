import { type ChildProcess, fork, spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'

/** A process under measurement. `url` is its base, without a slash at the end. */
export type Started = { readonly pid: number; readonly url: string; stop(): Promise<void> }

/** One that is reached under several. */
export type StartedNode = Started & { readonly urls: readonly string[] }

const START_MS = 20_000
const STOP_MS = 10_000
/** What is told of the output of a process that did not start. */
const TAIL = 600

/**
 * Starts a Node program that tells its `url` in a message to its parent. Its standard output is dropped.
 *
 * @param options `env` in place of ours, but for PATH; `execArgv` for Node itself
 */
export async function startNode(
  file: string,
  options: { args?: string[]; env?: Record<string, string>; execArgv?: string[] } = {}
): Promise<StartedNode> {
  const child = fork(file, options.args ?? [], {
    env: { PATH: process.env.PATH, NODE_ENV: 'production', ...options.env },
    execArgv: options.execArgv ?? [],
    stdio: ['ignore', 'ignore', 'inherit', 'ipc']
  })
  keep(child)
  try {
    const [message] = await Promise.race([
      once(child, 'message', { signal: AbortSignal.timeout(START_MS) }),
      once(child, 'exit').then(([code]) => Promise.reject(new Error(`${file} ended with ${code}`)))
    ])
    const { url, urls = [url] } = message as { url: string; urls?: string[] }
    return { pid: child.pid!, url, urls, stop: () => end(child) }
  } catch (error) {
    await end(child)
    throw error
  }
}

/**
 * Starts any server and waits until it is ready on `port`; its last output is in the error when it does not become so within 20 s.
 *
 * @param options `env` is added to ours; `ready` is asked again and again
 */
export async function startServer(
  command: string,
  args: string[],
  port: number,
  { env = {}, ready }: { env?: Record<string, string>; ready(port: number): Promise<boolean> }
): Promise<Started> {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...env } })
  keep(child)
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => {
      output = (output + chunk).slice(-TAIL)
    })
  }
  let failure: Error | undefined
  child.once('error', (error) => {
    failure = error
  })
  child.once('exit', (code, signal) => {
    failure = new Error(`it ended with ${signal ?? `exit code ${code}`}`)
  })
  const until = Date.now() + START_MS
  while (!(await ready(port))) {
    if (failure === undefined && Date.now() < until) await delay(25)
    else {
      await end(child)
      throw new Error(`${command}: ${failure?.message ?? `not up within ${START_MS} ms`}; ${output.trim()}`)
    }
  }
  return { pid: child.pid!, url: `http://127.0.0.1:${port}`, stop: () => end(child) }
}

/** Whether somebody takes connections on a port. */
export async function accepts(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1')
  try {
    await once(socket, 'connect')
    return true
  } catch {
    return false
  } finally {
    socket.destroy()
  }
}

/** Whether an HTTP server answers 200: some listen before they have read their routes. */
export async function answersOk(port: number): Promise<boolean> {
  if (!(await accepts(port))) return false
  try {
    const response = await fetch(`http://127.0.0.1:${port}/`)
    await response.body?.cancel()
    return response.status === 200
  } catch {
    // It ends or is not ready yet: whoever asks knows which.
    return false
  }
}

const running = new Set<ChildProcess>()
// An uncaught error or a signal must not leave servers behind; nginx ends its workers only when it is asked to end.
process.once('exit', () => {
  for (const child of running) child.kill('SIGTERM')
})

function keep(child: ChildProcess): void {
  running.add(child)
  child.once('exit', () => running.delete(child))
}

/** SIGTERM, and SIGKILL after a bound. */
async function end(child: ChildProcess): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return
  const exited = once(child, 'exit')
  child.kill('SIGTERM')
  const late = setTimeout(() => child.kill('SIGKILL'), STOP_MS)
  await exited
  clearTimeout(late)
}
