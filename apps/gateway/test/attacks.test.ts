import { fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { faultRun, waitFor } from '@skerry/testing'
import t, { type Test } from 'tap'
import { type Door, startAttacked } from './helpers/attacked.ts'

// A stranger's attacks on a real system, one after the other, while somebody else goes on. Here: the gateway lives, others are answered, there
// was no fault. What it takes in time and memory is for the long run to print and to bound (`npm run test:faults -- gateway-attacks`).

const run = faultRun({ short: 1, long: 1 })
t.setTimeout(run.limitMs)
/** Answers to somebody else during each attack, of each kind: so many, for so long at least, and fewer when it has taken so long. */
const ANSWERS = run.long ? 200 : 5
const LEAST_MS = run.long ? 5_000 : 0
const LONG_MS = 30_000
const FEWEST = 5
/** For those of them that the attacked service gives. */
const PATIENCE_MS = 120_000
/** The share of each attack. */
const SHARE = run.long ? 1 : 0.1
/** How often somebody asks for the same ahead of all attacks: memory, which is bounded in the long version, is then what it stays at. */
const WARM_UP = run.long ? 20 : 2
/** The pause of somebody who has been answered often enough and waits for something else: the long version goes on asking. */
const PAUSE_MS = run.long ? 0 : 100
/** What `/livez` and another user's request may take at the median of an attack. */
const MEDIAN_MS = 250
/** Tries of a service that is away that are waited for: the pauses before the last of them say that they grow. */
const TRIES = run.long ? 5 : 3
const FIRST_PAUSE_MS = 500
const LONGEST_PAUSE_MS = 5_000

type Attack = {
  name: string
  /** What others ask for beside `/livez` and their profile. */
  others?: Record<string, () => Promise<number>>
  /** What is asked of the attacked service itself: it may be refused for a moment, as under any load. */
  sameService?: () => Promise<number>
  before?: (t: Test) => Promise<void>
  /** Whether it has lasted long enough. */
  enough?: () => Promise<boolean>
  after?: (t: Test) => Promise<void>
}

const median = (values: number[]) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0
const most = (values: number[]) => Math.max(...values)

const { plain, tls, me, attacker, away } = await startAttacked(t, {
  ...{ DRAIN_MS: '0', IDLE_KEPT_MS: '0', LIMIT_EXEMPT: '127.0.0.0/8', HEALTH_INTERVAL_MS: '0', LOG_LEVEL: 'info' },
  ...{ LIMIT_USER_PER_SECOND: '100000', LIMIT_USER_BURST: '100000', UNREAD_PERIOD_MS: run.long ? '30000' : '2000' },
  // A busy machine is late: what is asserted of time is the median, in the long version.
  UPSTREAM_HEADERS_TIMEOUT_MS: '600000'
})
const profile = async (door: Door) => (await door.ask('/v1/users/me', { token: me.token })).status
const linesOf = (text: string) =>
  plain.process
    .output()
    .split('\n')
    .filter((line) => line.includes(text) && line.includes(away.url)).length

/** Lets somebody attack a gateway, and asks it meanwhile and afterwards. */
async function stand(t: Test, door: Door, before: number, attack: Attack): Promise<void> {
  const { name } = attack
  await attack.before?.(t)
  const program = fork(join(import.meta.dirname, 'fixtures/attacker.ts'), [name, String(door.port), String(SHARE)], {
    env: { ...process.env, ATTACKER_TOKEN: attacker.token },
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    execArgv: []
  })
  const exited = once(program, 'exit')
  t.teardown(() => program.kill('SIGKILL'))
  await once(program, 'message')

  const questions: Record<string, () => Promise<number>> = {
    '/livez': async () => (await door.ask('/livez')).status,
    '/v1/users/me': () => profile(door),
    ...attack.others,
    ...(attack.sameService === undefined ? {} : { 'the same service': attack.sameService })
  }
  const took: Record<string, number[]> = {}
  const failed = new Set<string>()
  let busy = 0
  const started = performance.now()
  let peak = 0
  const answeredThere = () => (took['the same service']?.length ?? 0) - busy
  const isOver = async (answers: number) => {
    const lasted = performance.now() - started
    if (attack.sameService !== undefined && answeredThere() < FEWEST && lasted < PATIENCE_MS) return false
    const enough = answers >= ANSWERS ? lasted >= LEAST_MS : answers >= FEWEST && lasted >= LONG_MS
    return enough && (await attack.enough?.()) !== false
  }
  for (let i = 0; !(await isOver(i)); i++) {
    for (const [question, ask] of Object.entries(questions)) {
      const asked = performance.now()
      const status = await ask()
      took[question] = [...(took[question] ?? []), performance.now() - asked]
      if (status === 503 && question === 'the same service') busy++
      else if (status !== 200) failed.add(`${question}: ${status}`)
    }
    peak = Math.max(peak, await door.megabytes())
    if (i >= ANSWERS && PAUSE_MS > 0) await delay(PAUSE_MS)
  }
  program.kill('SIGKILL')
  await exited
  t.equal(door.process.child.exitCode, null, 'it lives')
  t.strictSame([...failed], [], 'others are answered')
  if (attack.sameService !== undefined) t.ok(answeredThere() >= FEWEST, 'and so are others of that service', { busy })
  const medians = Object.entries(took).map(([question, times]) => {
    return `${question} ${median(times).toFixed(1)} ms (${times.length} answers, ${most(times).toFixed(0)} ms at most)`
  })
  if (run.long)
    for (const question of ['/livez', '/v1/users/me'])
      t.ok(median(took[question]!) <= MEDIAN_MS, `${question}: the median is at most ${MEDIAN_MS} ms`, {
        median: median(took[question]!)
      })
  await waitFor(async () => (await door.ask('/x')).status === 200, { message: 'and when it is over all are' })
  await attack.after?.(t)

  const calm: number[] = []
  for (let i = 0; i < took['/livez']!.length; i++) {
    const asked = performance.now()
    await profile(door)
    calm.push(performance.now() - asked)
  }
  const after = await door.megabytes()
  if (run.long) {
    // What is garbage is given back as soon as there is little to do.
    const limitMb = before * 1.2
    const message = `memory returns to ${limitMb.toFixed(0)} MB at most`
    await waitFor(async () => (await door.megabytes()) <= limitMb, { timeoutMs: 120_000, message })
  }
  t.comment(
    `${name}: medians during it: ${medians.join(', ')}${busy === 0 ? '' : `, ${busy} refused with 503`}; after it ${median(calm).toFixed(1)} ms. Memory ${before} MB before the first, ${peak} at most, ${after} right after, ${await door.megabytes()} now`
  )
}

const ATTACKS: readonly Attack[] = [
  { name: 'tags' },
  { name: 'upgrades' },
  { name: 'bodies' },
  { name: 'chunks' },
  { name: 'chunks of many' },
  { name: 'larger chunks' },
  { name: 'frames' },
  { name: 'pipelined' },
  { name: 'unread' },
  { name: 'window 0' },
  { name: 'empty lines' },
  { name: 'resets' },
  // Work of different cost does not share a line: a refresh hashes nothing.
  { name: 'logins', others: { 'a refresh': me.refresh } },
  { name: 'slow readers', sameService: async () => (await plain.ask('/x')).status },
  { name: 'batches', after: batchesAreBounded },
  {
    name: 'away',
    before: async (t) => void t.equal((await plain.ask('/gone')).status, 503, 'nobody is there'),
    enough: async () => (await away.triedAt()).length >= TRIES,
    after: pausesHaveGrown
  },
  { name: 'handshakes' }
]

async function batchesAreBounded(t: Test): Promise<void> {
  const batch = async (paths: string[]) => {
    const body = { requests: paths.map((path) => ({ method: 'GET', path })) }
    const { status, text } = await plain.ask('/v1/batch', { method: 'POST', body })
    if (status !== 200) throw new Error(`a batch is answered ${status}: ${text}`)
    return (JSON.parse(text) as { responses: { status: number }[] }).responses.map((one) => one.status)
  }
  // What the attack took of the places in the service is back within seconds.
  let mixed: number[] = []
  await waitFor(async () => {
    mixed = await batch(['/x/live', '/x', '/v1/users/me'])
    return mixed[1] !== 503
  })
  t.strictSame(mixed, [400, 200, 401], 'no stream, and the others are answered')
  // Some may find no place in the service; of those that do one fits.
  const large = await batch(Array(20).fill('/x/page'))
  const fitting = large.filter((status) => status !== 502 && status !== 503)
  t.strictSame(fitting.slice(1), [], 'all answers of a batch have one bound of bytes')
  t.ok(large.includes(502), 'beyond which they are cut off')
}

async function pausesHaveGrown(t: Test): Promise<void> {
  const triedAt = await away.triedAt()
  const pauses = triedAt.slice(1).map((at, i) => at - triedAt[i]!)
  t.comment(`a service that is away: ${triedAt.length} tries, with pauses of ${pauses.map(Math.round).join(', ')} ms`)
  // Each pause is what it is by a fifth at most, and a busy machine makes it longer.
  const least = pauses.map((_, i) => 0.8 * Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** i))
  t.strictSame(
    pauses.filter((pause, i) => pause < least[i]!),
    [],
    'it is tried ever less often, however many ask'
  )
  t.equal(linesOf('upstream ejected'), 1, 'one line says that it is away')
  t.equal(linesOf('upstream recovered'), 0)
  await away.comeBack()
  await waitFor(async () => (await plain.ask('/gone')).status === 200, { message: 'it is back' })
  await waitFor(() => linesOf('upstream recovered') === 1, { message: 'and one line that it is back' })
  t.equal(linesOf('upstream ejected'), 1)
}

/** The first requests of all are slow, and some answers are made when they are first asked for. */
async function warmUp(door: Door): Promise<number> {
  for (const path of ['/docs/scalar.js', '/x', '/livez']) for (let i = 0; i < WARM_UP; i++) await door.ask(path)
  for (let i = 0; i < WARM_UP; i++) await profile(door)
  return door.megabytes()
}

t.test('what a stranger does to one gateway', { timeout: run.limitMs }, async (t) => {
  const before = await warmUp(plain)
  for (const [i, attack] of ATTACKS.entries()) {
    await t.test(attack.name, { timeout: run.limitMs }, (t) => stand(t, plain, before, attack))
    t.comment(`progress ${i + 1}/${ATTACKS.length} attacks`)
  }
  t.strictSame(await plain.faults(), [], 'and there was no fault')
})

t.test('who speaks no TLS where it must be', { timeout: run.limitMs }, async (t) => {
  await stand(t, tls, await warmUp(tls), { name: 'resets' })
  t.strictSame(await tls.faults(), [], 'and there was no fault')
})
