import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { waitFor } from '@skerry/testing'
import t, { type Test } from 'tap'
import { settingsOf } from '../src/gateway.ts'
import { runCli, runs, startCli } from './helpers/cli.ts'

const home = await mkdtemp(join(tmpdir(), 'skerry-alone-'))
t.teardown(() => rm(home, { recursive: true, force: true }))
const env = { SKERRY_HOME: home, DRAIN_MS: '50', IDLE_KEPT_MS: '0' }

async function startOrigin(t: Test, name: string): Promise<string> {
  const server = createServer((_request, response) => response.end(name))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

/** `./skerry gateway …` until it says where it is. */
async function startGateway(t: Test, args: string[]) {
  const child = startCli(['gateway', ...args], env)
  let errors = ''
  let out = ''
  child.stderr?.on('data', (chunk) => {
    errors += chunk
  })
  child.stdout?.on('data', (chunk) => {
    out += chunk
  })
  // With all that it printed.
  const exited = once(child, 'close').then(([code]) => code as number | null)
  t.teardown(async () => {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGTERM')
    await exited
  })
  await waitFor(
    () => {
      if (child.exitCode !== null) throw new Error(`it ended with ${child.exitCode}: ${errors}`)
      return /^gateway: http.*\n/m.test(errors)
    },
    { timeoutMs: 90_000 }
  )
  const lines = () =>
    out
      .split('\n')
      .slice(0, -1)
      .filter((line) => line.startsWith('{'))
      .map((line) => JSON.parse(line) as { pid: number; msg: string })
  const ask = async (path: string) => (await fetch(`${/^gateway: (\S+)/m.exec(errors)?.[1]}${path}`)).text()
  return { child, exited, errors: () => errors, ask, lines }
}

t.test('serves in the foreground, reads its files again on SIGHUP, and stops in order on Ctrl-C', async (t) => {
  const [one, two] = [await startOrigin(t, 'one'), await startOrigin(t, 'two')]
  const file = join(home, 'routes')
  await writeFile(file, `/feed=${one}\n`)
  const gateway = await startGateway(t, ['--routes-file', file, '--port', '0'])
  t.match(
    gateway.errors(),
    /^gateway: http:\/\/127\.0\.0\.1:\d+ {2}\(health and metrics: http:\S+\/readyz, http:\S+\/metrics\)\n$/
  )
  t.equal(await gateway.ask('/feed'), 'one')
  await writeFile(file, `/feed=${two}\n`)
  gateway.child.kill('SIGHUP')
  await waitFor(async () => (await gateway.ask('/feed')) === 'two')
  gateway.child.kill('SIGINT')
  t.equal(await gateway.exited, 0)
  t.equal(gateway.lines().at(-1)?.msg, 'stopped')
})

t.test('with workers, which SIGHUP replaces; nothing stays when it is killed', async (t) => {
  const [one, two] = [await startOrigin(t, 'one'), await startOrigin(t, 'two')]
  const gateway = await startGateway(t, ['--route', `/feed=${one}`, '--route', `/other=${two}`, '--workers', '2'])
  t.equal(await gateway.ask('/feed/1'), 'one')
  t.equal(await gateway.ask('/other'), 'two')
  const pids = new Set<number>()
  await waitFor(() => {
    for (const { pid } of gateway.lines()) pids.add(pid)
    return pids.size >= 3
  })
  t.equal(pids.size, 3)
  gateway.child.kill('SIGHUP')
  await waitFor(() => gateway.lines().filter(({ msg }) => msg === 'stopped').length === 2, { timeoutMs: 90_000 })
  t.equal(await gateway.ask('/feed/1'), 'one')
  for (const { pid } of gateway.lines()) pids.add(pid)
  gateway.child.kill('SIGKILL')
  for (const pid of pids) await waitFor(async () => !(await runs(pid)), { timeoutMs: 30_000 })
})

t.test('what does not fit is one line that says what to give', async (t) => {
  const origin = await startOrigin(t, 'one')
  const feed = ['--route', `/feed=${origin}`]
  const cases: Array<[string[], RegExp]> = [
    [[], /^skerry: give at least one --route, as in: \.\/skerry gateway --route \/feed=http/],
    [['--route', 'feed'], /^skerry: --route feed is not a route: write it as --route \/feed=http/],
    [['--route', '/feed=nowhere'], /^gateway: route \/feed has "nowhere", which is no address/],
    [[...feed, '--port', new URL(origin).port], /^skerry: port \d+ is in use: give another with --port/],
    [[...feed, '--rooms', '1'], /^skerry: Unknown option '--rooms'\. See: \.\/skerry help gateway\n$/],
    [[...feed, 'x'], /^skerry: Unexpected argument 'x'.*\. See: \.\/skerry help gateway\n$/]
  ]
  for (const [args, message] of cases) {
    const { code, errors, out } = await runCli(['gateway', ...args], env)
    t.match({ code, errors }, { code: 1, errors: message })
    t.equal(errors.trimEnd().split('\n').length, 1, errors)
    t.equal(out, '')
  }
})

t.test('options become settings', async (t) => {
  const route = ['/feed=http://a:1,http://b:2', '/other=http://c']
  t.same(
    settingsOf(
      {
        route,
        port: '0',
        jwks: 'https://x/jwks',
        redis: 'redis://r',
        workers: '4',
        health: '/healthz',
        'default-auth': 'required',
        issuer: 'i',
        audience: 'a'
      },
      {}
    ),
    {
      ROUTES: '/feed=http://a:1,http://b:2;/other=http://c',
      ROUTES_FILE: '',
      DEFAULT_AUTH: 'required',
      PORT: '0',
      JWKS_URL: 'https://x/jwks',
      JWT_ISSUER: 'i',
      JWT_AUDIENCE: 'a',
      REDIS_URL: 'redis://r',
      WORKERS: '4',
      HEALTH_PATH: '/healthz'
    }
  )
  t.same(settingsOf({}, { ROUTES_FILE: '/etc/routes' }), {}, 'the environment may say it all')
  const bad: Array<[Parameters<typeof settingsOf>[0], RegExp]> = [
    [{ route, 'routes-file': 'x' }, /give --route or --routes-file, not both/],
    [{ 'routes-file': '/nowhere/routes' }, /--routes-file \/nowhere\/routes does not exist: give the path/],
    [{ route, rules: '/nowhere/rules' }, /--rules \/nowhere\/rules does not exist: give the path/],
    [{ route, port: '70000' }, /--port 70000 does not fit: give a number from 0 to 65535/],
    [{ route, workers: '0' }, /--workers 0 does not fit: give a number from 1 to 64/],
    [{ route, workers: 'many' }, /--workers many does not fit/],
    [{ route, jwks: 'login.example' }, /--jwks login\.example does not fit: give one as https/],
    [{ route, redis: 'http://r' }, /--redis http:\/\/r does not fit: give one as redis/],
    [{ route, 'default-auth': 'all' }, /--default-auth all does not fit: give one as required, optional or none/],
    [{ route, health: 'healthz' }, /--health healthz does not fit: give one as \/healthz/]
  ]
  for (const [options, message] of bad) t.throws(() => settingsOf(options, {}), message)
  t.throws(() => settingsOf({ route }, { PORT: 'http' }), /PORT http does not fit: give a number from 0 to 65535/)
})

t.test('help says how', async (t) => {
  for (const name of ['gateway', 'traffic']) {
    const { code, out } = await runCli(['help', name], env)
    t.equal(code, 0)
    t.match(out, new RegExp(`^\\./skerry ${name} `))
    t.same(await runCli([name, '--help'], env), { code: 0, out, errors: '' })
  }
  t.match((await runCli([], env)).out, /^ {2}gateway +run only the gateway.*\n {2}traffic +split/m)
})
