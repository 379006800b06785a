import { fork } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import { once } from 'node:events'
import { join } from 'node:path'
import type { Grant } from '@skerry/contracts'
import { useStores, waitFor } from '@skerry/testing'
import t from 'tap'
import { startProcess } from './helpers/processes.ts'

// Work of different cost does not share a line: with real auth, and so few places that a flood of sign-ins fills its own many times over.

const PLACES = '4'
const REFRESHES = 10

t.test('refreshes go on during a flood of sign-ins of unknown names', async (t) => {
  const stores = await useStores(t)
  const signingKey = generateKeyPairSync('ed25519').privateKey.export({ format: 'jwk' })
  await startProcess(t, '../../../auth/src/main.ts', {
    ...{ ...stores.envFor('auth'), LOG_LEVEL: 'warn', AUTH_SIGNING_KEY: JSON.stringify(signingKey) },
    SIGN_IN_FAILURES_ADDRESS: '100000'
  })
  const gateway = await startProcess(t, '../../src/main.ts', {
    ...{ ...stores.envFor('gateway'), PORT: '0', DRAIN_MS: '0', IDLE_KEPT_MS: '0', HEALTH_INTERVAL_MS: '0' },
    ...{ LIMIT_EXEMPT: '127.0.0.0/8', UPSTREAM_HEADERS_TIMEOUT_MS: '600000' },
    ...{ CONCURRENCY_INITIAL: PLACES, CONCURRENCY_IDLE: PLACES, CONCURRENCY_MIN: PLACES, CONCURRENCY_MAX: PLACES },
    // Whoever has no place is told so soon.
    CONCURRENCY_CRITICAL_WAIT_MS: '20'
  })
  const post = async (path: string, body: object) => {
    const answer = await fetch(`${gateway.url}/v1/auth/${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'idempotency-key': 'ada' },
      body: JSON.stringify(body)
    })
    return { status: answer.status, grant: (await answer.json()) as Grant }
  }
  const person = { email: 'ada@example.com', username: 'ada', password: 'password of ada' }
  let refreshToken = ''
  await waitFor(async () => {
    const { status, grant } = await post('signup', person)
    refreshToken = grant.refreshToken
    return status === 201
  })
  const counted = async (route: string, status: number) => {
    const text = await (await fetch(`${gateway.ops}/metrics`)).text()
    const line = text
      .split('\n')
      .find(
        (one) => one.includes(`duration_seconds_count{`) && one.includes(route) && one.includes(`status="${status}"`)
      )
    return Number(line?.split(' ').at(-1) ?? 0)
  }

  const attacker = fork(join(import.meta.dirname, 'fixtures/attacker.ts'), ['logins', new URL(gateway.url).port, '1'], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    execArgv: []
  })
  t.teardown(async () => {
    const exited = once(attacker, 'exit')
    attacker.kill('SIGKILL')
    await exited
  })
  const overfull = async () => (await counted('/v1/auth/login', 503)) > 0 && (await counted('/v1/auth/login', 401)) > 0
  await waitFor(overfull, { message: 'there are more than have a place' })
  const before = await counted('/v1/auth/login', 503)
  const statuses: number[] = []
  for (let i = 0; i < REFRESHES; i++) {
    const { status, grant } = await post('refresh', { refreshToken })
    statuses.push(status)
    if (status === 200) refreshToken = grant.refreshToken
  }
  t.strictSame(statuses, Array(REFRESHES).fill(200), 'no refresh is refused')
  await waitFor(async () => (await counted('/v1/auth/login', 503)) > before)
  t.pass('and the flood went on all the time')
})
