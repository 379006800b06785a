import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { delimiter, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { tether } from '@skerry/stores'
import type { TestFile } from './files.ts'
import { newMark, sendSignal, untilGone } from './processes.ts'
import { createTapReader, type Outcome } from './tap-reader.ts'

/** How one file ended. `faults` are what no assertion shows: a crash, its time-out, what it left running. Empty and 0 failed: it passed. */
export type FileResult = Outcome & { file: TestFile; seconds: number; faults: string[]; errors: string }

export type RunFileOptions = {
  /** Root folder of the checkout. */
  repo: string
  env: Record<string, string>
  /** Ends the file and all that it started. */
  signal: AbortSignal
  /** How long what a file has started may take to end after it, before it counts as left behind. */
  graceMs?: number
  /** Told what the file prints, as it comes. */
  onOutput?(chunk: string): void
}

const GRACE_MS = 10_000
/** How long a file may take to say what it waited for, once its time is over, or to stop its system when it is interrupted. */
const LAST_WORDS_MS = 5_000
const ERRORS_KEPT = 64 * 1024

let childId = 0

/**
 * Runs one test file as a process of its own and reads its TAP. It is a process group, and all that it starts carries a mark, so that nothing
 * of it outlives it. Speaks tap's own protocol with its parent: a file that sets its time-out by `t.setTimeout` gets that.
 */
export async function runFile(file: TestFile, options: RunFileOptions): Promise<FileResult> {
  const { repo, env, signal, graceMs = GRACE_MS } = options
  const startedAt = performance.now()
  const { mark, env: marked } = newMark(env.SKERRY_TEST_MARK)
  const id = String(++childId)
  const bins = [join(repo, file.folder, 'node_modules/.bin'), join(repo, 'node_modules/.bin')]
  const [command, ...args] = [...tether(), process.execPath, file.inPackage]
  const child = spawn(command!, args, {
    cwd: join(repo, file.folder),
    env: {
      ...process.env,
      ...env,
      ...marked,
      PATH: [...bins, process.env.PATH ?? ''].join(delimiter),
      ...{ TAP: '1', TAP_BAIL: '0', TAP_CHILD_ID: id, TAP_CHILD_KEY: mark, TAP_TIMEOUT: String(file.timeoutMs / 1000) }
    },
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    detached: true
  })
  const reader = createTapReader()
  let errors = ''
  child.stdout?.setEncoding('utf8').on('data', (chunk: string) => {
    reader.write(chunk)
    options.onOutput?.(chunk)
  })
  child.stderr?.setEncoding('utf8').on('data', (chunk: string) => {
    errors = (errors + chunk).slice(-ERRORS_KEPT)
  })
  const exited = once(child, 'exit') as Promise<[number | null, NodeJS.Signals | null]>
  const closed = once(child, 'close')
  const timer = startTimer(child, file.timeoutMs, id, mark)
  const interrupt = () => void endGroup(child, 'SIGTERM')
  signal.addEventListener('abort', interrupt, { once: true })
  if (signal.aborted) interrupt()
  const [code, endedBy] = await exited
  signal.removeEventListener('abort', interrupt)
  const lateAfter = timer.stop()

  const faults: string[] = []
  // What is told to end together with its parent takes a moment; what is killed here was not.
  const hurried = lateAfter !== undefined || signal.aborted
  for (const { pid, command } of await untilGone(mark, child.pid, hurried ? LAST_WORDS_MS : graceMs)) {
    if (!hurried) faults.push(`it left process ${pid} running: ${command.slice(0, 200)}`)
    sendSignal(pid, 'SIGKILL')
  }
  if ((await Promise.race([closed, delay(LAST_WORDS_MS)])) === undefined) {
    faults.push('something that it started holds its output, and could not be found')
    child.stdout?.destroy()
    child.stderr?.destroy()
  }
  const outcome = reader.end()
  if (lateAfter !== undefined) faults.unshift(`it did not end within ${lateAfter / 1000} s`)
  else if (endedBy !== null) faults.unshift(`it was ended by ${endedBy}`)
  else if (code !== 0 && outcome.failed === 0) faults.unshift(`it ended with exit code ${code}`)
  else if (outcome.passed + outcome.failed + outcome.skipped.length === 0) faults.unshift('no assertion was made')
  return { ...outcome, file, faults, errors, seconds: (performance.now() - startedAt) / 1000 }
}

type Timer = { /** The bound in ms when it was over before the file ended. */ stop(): number | undefined }

/** Ends a file when its time is over: first it is asked what it still waits for. */
function startTimer(child: ChildProcess, boundMs: number, id: string, key: string): Timer {
  let over: number | undefined
  let timer: NodeJS.Timeout
  const set = (ms: number) => {
    clearTimeout(timer)
    if (ms > 0) timer = setTimeout(expire, ms, ms)
  }
  function expire(ms: number) {
    over = ms
    if (child.connected) child.send({ tapAbort: 'timeout', key, child: id }, () => undefined)
    timer = setTimeout(() => sendSignal(-child.pid!, 'SIGKILL'), LAST_WORDS_MS)
  }
  child.on('message', (message: { setTimeout?: number; key?: string; child?: string } | null) => {
    const own = message !== null && typeof message === 'object' && message.key === key && message.child === id
    if (own && over === undefined && typeof message.setTimeout === 'number') set(message.setTimeout)
  })
  set(boundMs)
  return {
    stop() {
      clearTimeout(timer)
      return over
    }
  }
}

/** Tells a file's group to end, and kills it when it does not. */
async function endGroup(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.pid === undefined) return
  const ended = once(child, 'exit')
  sendSignal(-child.pid, signal)
  const late = setTimeout(() => sendSignal(-child.pid!, 'SIGKILL'), LAST_WORDS_MS)
  await ended
  clearTimeout(late)
}
