import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { waitFor } from '@skerry/testing'
import t, { type Test } from 'tap'
import { REPOSITORY } from '../src/repository.ts'
import { boundLogs } from '../src/up/logs.ts'
import { type Ended, runCli, runs, startCli } from './helpers/cli.ts'

async function temporaryHome(t: Test): Promise<string> {
  const home = await mkdtemp(join(tmpdir(), 'skerry-up-'))
  t.teardown(() => rm(home, { recursive: true, force: true }))
  return home
}

/** One line on standard error, exit code 1, and nothing else. */
function refused(t: Test, { code, out, errors }: Ended, line: RegExp): void {
  t.equal(code, 1)
  t.equal(out, '')
  t.match(errors, /^skerry: [^\n]+\n$/, 'one line')
  t.match(errors, line)
}

t.test('a taken port is named before anything starts', async (t) => {
  const taken = createServer().listen(0, '127.0.0.1')
  await new Promise((resolve) => taken.once('listening', resolve))
  t.teardown(() => void taken.close())
  const { port } = taken.address() as { port: number }
  const home = await temporaryHome(t)
  refused(
    t,
    await runCli(['up'], { SKERRY_HOME: home, PORT: String(port) }),
    new RegExp(`port ${port} is in use: set PORT`)
  )
  t.same(await readdir(join(home, 'data')), [])
  t.notOk((await readdir(home)).includes('lock'), 'the next start is not in its way')
})

t.test('what cannot be: a port, a home, a command, an option', async (t) => {
  const home = await temporaryHome(t)
  for (const PORT of ['http', '-1', '70000', '80.5'])
    refused(t, await runCli(['up'], { SKERRY_HOME: home, PORT }), new RegExp(`PORT=${PORT} is not a port`))
  refused(t, await runCli(['up'], { SKERRY_HOME: '/proc/skerry' }), /\/proc\/skerry cannot be used/)
  refused(t, await runCli(['fly'], { SKERRY_HOME: home }), /no command "fly"/)
  refused(t, await runCli(['up', '--dmeo'], { SKERRY_HOME: home }), /--dmeo/)
})

t.test('an address that this machine does not have', async (t) => {
  const home = await temporaryHome(t)
  refused(
    t,
    await runCli(['up'], { HOST: '203.0.113.9', SKERRY_HOME: home }),
    /^skerry: HOST=203\.0\.113\.9 is no address of this machine/
  )
})

t.test('a reader of the output that goes away is no fault', async (t) => {
  const child = startCli(['help'], {})
  child.stdout?.destroy()
  let errors = ''
  child.stderr?.on('data', (chunk: Buffer) => {
    errors += chunk
  })
  t.same(await once(child, 'close'), [null, 'SIGTERM'])
  t.equal(errors, '')
})

t.test('output that does not fit on its disk is told, not thrown', async (t) => {
  const main = join(REPOSITORY, 'packages/cli/src/main.ts')
  const child = spawn('sh', ['-c', 'exec "$0" "$1" help > /dev/full', process.execPath, main], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, NODE_OPTIONS: '' }
  })
  let errors = ''
  child.stderr.on('data', (chunk: Buffer) => {
    errors += chunk
  })
  t.same(await once(child, 'close'), [1, null])
  t.match(errors, /^skerry: not all could be written to the standard output: ENOSPC[^\n]*\n$/)
})

t.test('broken secrets', async (t) => {
  const home = await temporaryHome(t)
  await writeFile(join(home, 'secrets.json'), '{"version":1')
  refused(t, await runCli(['up'], { SKERRY_HOME: home }), /secrets\.json is broken/)
  t.equal(await readFile(join(home, 'secrets.json'), 'utf8'), '{"version":1', 'and are left as they are')
})

t.test('the lock of a process that is gone, or is something else, does not hold', async (t) => {
  const home = await temporaryHome(t)
  await writeFile(join(home, 'secrets.json'), '{}')
  for (const pid of ['999999999', '1', '', 'nonsense']) {
    await writeFile(join(home, 'lock'), pid)
    refused(t, await runCli(['up'], { SKERRY_HOME: home }), /secrets\.json is broken/)
  }
})

t.test('a signal while it starts ends it, with nothing left', async (t) => {
  const home = await temporaryHome(t)
  const cli = startCli(['up'], { SKERRY_HOME: home })
  const exited = new Promise((resolve) => cli.once('exit', (code) => resolve(code)))
  const store = async () => Number(await readFile(join(home, 'nats-server.pid'), 'utf8').catch(() => '0'))
  await waitFor(async () => (await store()) > 0, { message: 'a store was started' })
  const started = await store()
  cli.kill('SIGTERM')
  t.equal(await exited, 0)
  t.notOk(await runs(started))
  for (const file of (await readdir(home)).filter((name) => name.endsWith('.pid'))) {
    const pid = (await readFile(join(home, file), 'utf8')).trim()
    await t.rejects(stat(`/proc/${pid}`), file)
  }
  t.notOk((await readdir(home)).includes('run.json'))
})

t.test('an external store that does not answer is named without its password', async (t) => {
  const home = await temporaryHome(t)
  const { code, errors } = await runCli(['up'], { SKERRY_HOME: home, NATS_URL: 'nats://me:secret@127.0.0.1:9' })
  t.equal(code, 1)
  t.match(errors, /^skerry: NATS_URL \(nats:\/\/…@127\.0\.0\.1:9\) cannot be used: .*ECONNREFUSED/)
  t.notMatch(errors, /secret/)
})

t.test('logs are bounded', async (t) => {
  const home = await mkdtemp(join(tmpdir(), 'skerry-logs-'))
  t.teardown(() => rm(home, { recursive: true, force: true }))
  await mkdir(join(home, 'logs'))
  await writeFile(join(home, 'logs', 'small.log'), 'a line\n')
  await writeFile(join(home, 'logs', 'large.log'), 'a line\n')
  await truncate(join(home, 'logs', 'large.log'), 2_000)
  boundLogs(home, () => t.fail('nothing to tell'), 1_000)()
  t.same((await readdir(join(home, 'logs'))).sort(), ['large.log', 'large.log.1', 'small.log'])
  t.equal((await stat(join(home, 'logs', 'large.log'))).size, 0)
  t.equal((await stat(join(home, 'logs', 'large.log.1'))).size, 2_000)
  t.equal(await readFile(join(home, 'logs', 'small.log'), 'utf8'), 'a line\n')
})

t.test('help says what there is', async (t) => {
  const { code, out } = await runCli(['help'], {})
  t.equal(code, 0)
  for (const command of ['up', 'demo', 'test', 'bench', 'status', 'stop', 'version']) {
    t.match(out, new RegExp(`^  ${command} +\\S`, 'm'))
    t.match((await runCli(['help', command], {})).out, new RegExp(`^\\./skerry ${command}`))
  }
  t.match((await runCli(['version'], {})).out, /^\d+\.\d+\.\d+\n$/)
})
