import type { ChildProcess } from 'node:child_process'
import { EventEmitter } from 'node:events'
import { waitFor } from '@skerry/testing'
import t, { type Test } from 'tap'
import { createPool, GO } from '../../src/workers/pool.ts'

/** A process as the pool knows it: the test says what becomes of it. */
class Worker extends EventEmitter {
  readonly asSpare: boolean
  readonly pid: number
  told: unknown[] = []
  constructor(pid: number, asSpare: boolean) {
    super()
    this.pid = pid
    this.asSpare = asSpare
  }
  send(message: unknown): boolean {
    this.told.push(message)
    return true
  }
  kill(): boolean {
    queueMicrotask(() => this.emit('exit', null, 'SIGKILL'))
    return true
  }
  loaded(): void {
    this.emit('message', { type: 'spare' })
  }
  ready(): void {
    this.emit('message', { type: 'ready', url: '', ops: '' })
  }
}

const quiet = { error() {}, warn() {}, info() {} } as never

/** A pool of one worker, which is ready. */
async function start(t: Test, spare: boolean, log = quiet) {
  const made: Worker[] = []
  const fork = (asSpare: boolean) => {
    made.push(new Worker(made.length + 1, asSpare))
    return made.at(-1) as unknown as ChildProcess
  }
  const pool = createPool({ workers: 1, spare, fork, log, readyMs: 60_000, stopMs: 1_000 })
  t.teardown(() => pool.stop())
  const starting = pool.start()
  made[0]!.ready()
  await starting
  return { pool, made }
}

t.test('a worker that dies while the spare loads is replaced by that spare, and by no other process', async (t) => {
  const { pool, made } = await start(t, true)
  for (let round = 1; round <= 3; round++) {
    await waitFor(() => made.length === round + 1, { message: 'a spare is made' })
    const spare = made[round]!
    t.ok(spare.asSpare)
    made[round - 1]!.kill()
    await waitFor(() => pool.serving() === 0)
    // Longer than the first pauses before another process is made.
    await new Promise((resolve) => setTimeout(resolve, 500))
    t.equal(made.length, round + 1, 'no other process is made meanwhile')
    spare.loaded()
    await waitFor(() => spare.told.includes(GO), { message: 'it is taken as soon as it has loaded' })
    spare.ready()
    await waitFor(() => pool.serving() === 1)
  }
})

t.test('a spare that dies while it loads keeps nobody waiting', async (t) => {
  const { pool, made } = await start(t, true)
  await waitFor(() => made.length === 2)
  made[0]!.kill()
  await waitFor(() => pool.serving() === 0)
  made[1]!.kill()
  await waitFor(() => made.some(({ pid, asSpare }) => pid > 2 && !asSpare), { message: 'another is made' })
  made.find(({ pid, asSpare }) => pid > 2 && !asSpare)!.ready()
  t.equal(pool.serving(), 1)
})

t.test('workers that get ready and die are replaced after a second at most, however often they do', async (t) => {
  const delays: number[] = []
  const log = { error: ({ delayMs }: { delayMs?: number }) => void (delayMs !== undefined && delays.push(delayMs)) }
  const { pool, made } = await start(t, false, { ...log, warn() {}, info() {} } as never)
  for (let round = 1; round <= 6; round++) {
    made[round - 1]!.kill()
    await waitFor(() => made.length === round + 1, { message: 'another is made' })
    made[round]!.ready()
    await waitFor(() => pool.serving() === 1)
  }
  t.same(delays, [200, 400, 800, 1_000, 1_000, 1_000])
})
