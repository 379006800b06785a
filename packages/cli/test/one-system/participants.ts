import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Deletion, Grant } from '@skerry/contracts'
import { connectNats, declareParticipant } from '@skerry/service'
import { type System, waitFor } from '@skerry/testing'
import type { Test } from 'tap'
import { runCli } from '../helpers/cli.ts'

/** Operators see whom deletions wait for, and take off who is gone for good. */
export async function participants(t: Test, system: System): Promise<void> {
  const asked = (...args: string[]) => runCli(['participants', ...args], { SKERRY_HOME: system.home })

  async function call<T>(method: string, path: string, body?: object, token?: string): Promise<T> {
    const response = await fetch(system.url + path, {
      method,
      headers: {
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` })
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) })
    })
    if (!response.ok) throw new Error(`${method} ${path} answered ${response.status}: ${await response.text()}`)
    return (await response.json()) as T
  }

  const { natsAdmin } = JSON.parse(await readFile(join(system.home, 'secrets.json'), 'utf8'))
  const address = (await system.run()).processes.find(({ name }) => name === 'nats-server')?.url
  const nc = await connectNats({ name: 'test', url: `nats://${address}`, user: 'admin', password: natsAdmin })
  t.teardown(() => nc.close())
  const ghost = await declareParticipant(nc, 'ghost')
  await ghost.close()

  const rows = async () => (await asked('ls')).out.split('\n').map((line) => line.trim().split(/ {2,}/))
  const TIME = /^\d{4}-\d\d-\d\dT[\d:.]+Z$/
  t.match(await rows(), [
    ['service', 'declared', 'instances'],
    ['conduit', TIME, '1'],
    ['content', TIME, '2'],
    ['ghost', TIME, 'none'],
    ['realtime', TIME, '1'],
    ['users', TIME, '1']
  ])

  const person = { email: 'gus@example.com', username: 'gus', password: 'correct horse' }
  const { accessToken } = await call<Grant>('POST', '/v1/auth/signup', person)
  const { id } = await call<Deletion>('DELETE', '/v1/auth/account', {}, accessToken)
  const deletion = () => call<Deletion>('GET', `/v1/auth/account/deletions/${id}`)
  await waitFor(async () => (await deletion()).waitingFor.join() === 'ghost', { message: 'all others have answered' })

  for (const [args, message] of [
    [['withdraw', 'users'], 'users runs and takes part: stop it first. See: ./skerry status'],
    [['withdraw', 'Users*'], 'Users* is not the name of a service. See: ./skerry participants ls'],
    [['withdraw'], 'say what to do: ./skerry participants ls | withdraw NAME'],
    [['ls', 'ghost'], 'say what to do: ./skerry participants ls | withdraw NAME'],
    [['remove', 'ghost'], 'say what to do: ./skerry participants ls | withdraw NAME']
  ] as const)
    t.same(await asked(...args), { code: 1, out: '', errors: `skerry: ${message}\n` }, args.join(' '))
  t.match(await asked('withdraw', 'goblin'), {
    code: 0,
    out: 'goblin is not among those who have declared themselves (conduit, content, ghost, realtime, users); should auth remember it, it waits no longer\n'
  })
  t.same((await deletion()).waitingFor, ['ghost'])

  t.match(await asked('withdraw', 'ghost'), { code: 0, out: /^deletions and exports no longer wait for ghost/ })
  await waitFor(async () => (await deletion()).state === 'done')
  t.same(
    (await deletion()).erased.map(({ service }) => service).sort(),
    ['conduit', 'content', 'realtime', 'users'],
    'the proof shows no answer of it'
  )
  t.notMatch((await asked()).out, /ghost/)
  t.match(
    (await runCli(['help', 'participants'], {})).out,
    /^\.\/skerry participants ls\n\.\/skerry participants withdraw NAME/
  )
}
