import type { ChildProcess } from 'node:child_process'
import { EventEmitter } from 'node:events'
import { waitFor } from '@skerry/testing'
import t, { type Test } from 'tap'
import { createPool, GO } from '../../src/workers/pool.ts'
import { type VitalSigns, vitalSignsOf } from '../../src/workers/vital-signs.ts'
import { createWatch } from '../../src/workers/watch.ts'

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
  // Has none, and makes another process after the same pauses.
  const without = await start(t, false)
  for (let round = 1; round <= 3; round++) {
    await waitFor(() => made.length === round + 1, { message: 'a spare is made' })
    const spare = made[round]!
    t.ok(spare.asSpare)
    made[round - 1]!.kill()
    await waitFor(() => pool.serving() === 0)
    without.made[round - 1]!.kill()
    await waitFor(() => without.made.length === round + 1)
    t.equal(made.length, round + 1, 'no other process is made meanwhile')
    without.made[round]!.ready()
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

t.test('who hangs is killed, and who is late is not', (t) => {
  const signs: Record<number, VitalSigns | undefined> = {}
  const why: unknown[] = []
  let hung = 0
  const watch = createWatch({
    hangMs: 10_000,
    log: { error: (said: { worker: number; why: string }) => why.push([said.worker, said.why]) } as never,
    onHung: () => hung++,
    look: (pid) => signs[pid]
  })
  t.teardown(() => watch.close())
  const pass = (ms: number, each: () => void = () => {}) => {
    for (let passed = 0; passed < ms; passed += 1_000) {
      each()
      watch.tick()
    }
  }
  const add = (pid: number, state: string | undefined) => {
    const worker = new Worker(pid, false)
    signs[pid] = state === undefined ? undefined : { state, cpuMs: 500 }
    watch.add(worker as unknown as ChildProcess)
    return worker
  }
  /** Does a process die of so many ms of silence? */
  const dies = (ms: number, state: string | undefined, percent = 0) => {
    const worker = add(1, state)
    worker.loaded()
    why.length = 0
    pass(ms, () => {
      if (signs[1] !== undefined) signs[1] = { ...signs[1], cpuMs: signs[1].cpuMs + percent * 10 }
    })
    worker.emit('exit')
    return (why as unknown[][]).map(([, what]) => what).join()
  }
  t.equal(dies(9_000, 'T'), '')
  t.equal(dies(10_000, 'T'), 'stopped')
  t.equal(dies(10_000, 'R', 100), 'runs without end')
  t.equal(dies(9_000, 'R', 100), '')
  t.equal(dies(600_000, 'R'), '', 'it is not given a processor')
  t.equal(dies(30_000, 'R', 10), '')
  t.equal(dies(60_000, 'R', 10), 'runs without end', 'it has been given a little, and that was enough')
  t.equal(dies(600_000, 'D', 0), '', 'its memory is on a disk')
  t.equal(dies(600_000, 't'), '', 'somebody debugs it')
  t.equal(dies(29_000, 'S'), '')
  t.equal(dies(30_000, 'S'), 'blocked')
  t.equal(dies(29_000, undefined), '')
  t.equal(dies(30_000, undefined), 'blocked', 'where the system says nothing')

  const late = add(2, 'S')
  late.emit('message', { type: 'beat' })
  pass(60_000)
  late.ready()
  signs[2] = { state: 'T', cpuMs: 500 }
  late.emit('message', { type: 'beat' })
  for (let i = 0; i < 20; i++) {
    pass(9_000)
    late.emit('message', { type: 'beat' })
  }
  t.strictSame(why.splice(0), [[1, 'blocked']], 'it is watched when its code is loaded, and each word counts')
  pass(10_000)
  pass(60_000)
  add(3, 'T')
  pass(10_000)
  t.strictSame(
    why,
    [
      [2, 'stopped'],
      [3, 'stopped']
    ],
    'and killed once; one that is stopped, also before'
  )
  t.equal(hung, 7)
  t.end()
})

t.test('what the kernel says of a process', { skip: process.platform !== 'linux' }, (t) => {
  const before = vitalSignsOf(process.pid)!
  t.equal(before.state, 'R')
  while (vitalSignsOf(process.pid)!.cpuMs < before.cpuMs + 50);
  t.pass('and that it runs')
  t.equal(vitalSignsOf(2 ** 30), undefined)
  t.end()
})
