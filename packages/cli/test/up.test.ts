import { execFile } from 'node:child_process'
import { access, mkdtemp, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { type System, startSystem, waitFor } from '@skerry/testing'
import t from 'tap'
import { findApps, startedApps } from '../src/repository.ts'
import { scaled } from '../src/up/scale.ts'
import { runCli, runs } from './helpers/cli.ts'
import { isOpenAt, NOT_PASSED_ON } from './helpers/open-ports.ts'

const home = await mkdtemp(join(tmpdir(), 'skerry-up-'))
t.teardown(() => rm(home, { recursive: true, force: true }))
const env = { SKERRY_HOME: home }
const args = ['--scale', 'users=2']
const apps = scaled(startedApps(findApps()), ['users=2'])
const parts = 9

async function pidsOf(system: System): Promise<number[]> {
  return (await system.run()).processes.map((p) => p.pid)
}

/** The line that `up` prints for users to paste, run by a real shell with the real curl. */
async function paste(system: System): Promise<{ user: { username: string } }> {
  const line = /^ *(curl .*)$/m.exec(system.output())?.[1] ?? ''
  const { stdout } = await promisify(execFile)('sh', ['-c', line])
  return JSON.parse(stdout)
}

const first = await startSystem(t, { home, args })

t.test('one table of all parts, the time and memory, and a curl line that works', async (t) => {
  const output = first.output()
  for (const name of ['mongod', 'nats-server', 'redis']) {
    t.match(
      output,
      new RegExp(`^${name} +127\\.0\\.0\\.1:\\d+ +\\d+\\.\\d+\\.\\d+ +(cache|fetched|/\\S+) +\\d+ ms$`, 'm')
    )
  }
  for (const { name, instances } of apps) {
    for (let i = 1; i <= instances; i++) {
      t.match(output, new RegExp(`^${name} ${i} +http://127\\.0\\.0\\.1:\\d+ +\\S+ +source +\\d+ ms$`, 'm'))
    }
  }
  t.match(output, /^Ready in \d+\.\d s, \d+ MB\./m)
  t.match((await paste(first)).user.username, /^ada_/)
})

t.test('run.json names every part', async (t) => {
  const run = await first.run()
  t.equal(run.processes.length, parts)
  for (const { name, pid, ops, url } of run.processes) {
    t.ok(await runs(pid), name)
    if (ops === null) continue
    t.equal((await fetch(`${ops}/readyz`)).status, 200)
    t.match(url, /^http:\/\/127\.0\.0\.1:\d+$/)
  }
  t.equal(run.gateway, run.processes.find((p) => p.name === 'gateway')?.url)
  const { code, out } = await runCli(['status'], env)
  t.equal(code, 0)
  t.equal(out.match(/ (ready|up)$/gm)?.length, parts)
})

t.test('a process is told no credentials but its own', async (t) => {
  const secrets = JSON.parse(await readFile(join(home, 'secrets.json'), 'utf8')) as { apps: Record<string, string> }
  t.equal((await stat(join(home, 'secrets.json'))).mode & 0o777, 0o600)
  for (const { name, pid, ops } of (await first.run()).processes) {
    if (ops === null) continue
    const environment = await readFile(`/proc/${pid}/environ`, 'utf8')
    for (const [owner, password] of Object.entries(secrets.apps)) {
      t.equal(environment.includes(password), owner === name, `${owner}'s password in ${name}`)
    }
    t.equal(environment.includes('AUTH_SIGNING_KEY'), name === 'auth')
    t.equal(environment.includes('MONGO_URL'), name !== 'gateway')
  }
})

t.test('a second start says who runs, and changes nothing', async (t) => {
  const before = await first.run()
  // On the port that the first one has: that it runs says more than that the port is taken.
  const { code, errors } = await runCli(['up'], { ...env, PORT: new URL(first.url).port })
  t.equal(code, 1)
  t.equal(
    errors,
    `skerry: already running in ${home} as process ${first.cli.pid} (gateway: ${first.url}). Stop it with Ctrl-C there or \`./skerry stop\`.\n`
  )
  t.same(await first.run(), before)
})

t.test('a part that is killed comes back, with a line that says so', async (t) => {
  const appPid = await first.kill('users', '1')
  const storePid = await first.kill('redis', '1')
  await first.restarted('users', '1', appPid)
  await first.restarted('redis', '1', storePid)
  for (const line of [
    /^users 1 died \(SIGKILL\); starting again in 200 ms$/m,
    /^users 1 is back as process \d+$/m,
    /^redis died \(SIGKILL\); starting again in 200 ms$/m,
    /^redis is back$/m
  ])
    await waitFor(() => line.test(first.output()), { message: String(line) })
  t.equal((await first.run()).processes.length, parts)
  t.equal((await runCli(['status'], env)).code, 0)
})

t.test('a gateway process that is killed is not missed', async (t) => {
  const gateway = (await first.run()).processes.find((p) => p.name === 'gateway')!.pid
  const children = async () => {
    const text = await readFile(`/proc/${gateway}/task/${gateway}/children`, 'utf8')
    return text.trim().split(' ').map(Number)
  }
  await waitFor(async () => (await children()).length === 2, { message: 'it has one that serves and a spare' })
  const [serving, spare] = await children()
  // Whatever its code does when it is loaded, it does on the processor.
  await waitFor(async () => / S /.test(await readFile(`/proc/${spare}/stat`, 'utf8')))
  process.kill(serving!, 'SIGKILL')
  const asked = Array.from({ length: 10 }, () =>
    fetch(`${first.url}/livez`, { headers: { connection: 'close' }, signal: AbortSignal.timeout(30_000) })
  )
  for (const answer of await Promise.all(asked)) t.equal(answer.status, 200)
  await waitFor(async () => (await children()).length === 2, { timeoutMs: 60_000, message: 'and a spare again' })
  t.notOk((await children()).includes(serving!))
  t.notMatch(first.output(), /gateway 1 died/)
  t.equal((await first.run()).processes.length, parts)
})

const PASSWORD = 'a long password'
const post = (url: string, path: string, body: object) =>
  fetch(url + path, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) })
const signUp = async (system: System, username: string) =>
  (await post(system.url, '/v1/auth/signup', { email: `${username}@example.com`, username, password: PASSWORD })).status
const logIn = async (system: System, login: string) =>
  (await post(system.url, '/v1/auth/login', { login, password: PASSWORD })).status

t.test('Ctrl-C stops everything in order and leaves no process', async (t) => {
  t.equal(await signUp(first, 'early'), 201)
  const pids = await pidsOf(first)
  t.equal(await first.stop(), 0)
  for (const pid of pids) t.notOk(await runs(pid))
  await t.rejects(access(join(home, 'run.json')))
  await t.rejects(access(join(home, 'lock')))
  t.match(first.output(), /stopping …\nstopped\n$/)
  t.match(await runCli(['status'], env), { code: 1, errors: /^skerry: nothing runs in .*npm start/ })
  t.match(await runCli(['stop'], env), { code: 1, errors: /^skerry: nothing runs in/ })
})

// The two starts that follow listen on all addresses, each in another way.
const openTo = (HOST: '0.0.0.0' | '::') => startSystem(t, { home, env: { HOST, ...NOT_PASSED_ON } })

t.test('after kill -9 of the CLI no process stays, and the next start finds the data', async (t) => {
  const second = await openTo('0.0.0.0')
  await t.test('HOST=0.0.0.0: the public port alone is to be reached from elsewhere', (t) =>
    isOpenAt(t, second, '0.0.0.0')
  )
  t.equal(await logIn(second, 'early'), 200, 'what was there before Ctrl-C')
  t.equal(await signUp(second, 'kept'), 201)
  const pids = await pidsOf(second)
  second.cli.kill('SIGKILL')
  for (const pid of pids) await waitFor(async () => !(await runs(pid)), { timeoutMs: 30_000, message: `${pid} ended` })

  const third = await openTo('::')
  for (const name of ['early', 'kept']) t.equal(await logIn(third, name), 200, name)
  await t.test('HOST=::: the public port alone is to be reached from elsewhere', (t) => isOpenAt(t, third, '::'))
  t.match(await runCli(['stop'], env), { code: 0, out: `stopped process ${third.cli.pid}\n` })
})
