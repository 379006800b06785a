import { generateKeyPairSync, randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { BoundSocket } from 'node:net'
import { join } from 'node:path'
import type { Grant } from '@skerry/contracts'
import { announce, connectNats, managerOf, type NatsConnection } from '@skerry/service'
import { useStores, waitFor } from '@skerry/testing'
import type { Test } from 'tap'
import { Agent, request } from 'undici'
import { certificateFiles } from './clients.ts'
import { type AppProcess, startProcess } from './processes.ts'

const COUNTING = { NODE_OPTIONS: `--import=${join(import.meta.dirname, '../fixtures/count-connects.ts')}` }
/** How long a question may take before the test fails: no bound of anything that is measured. */
const PATIENCE_MS = 120_000

/** A way into the attacked system: one gateway process, with a certificate or without. */
export type Door = {
  process: AppProcess
  port: number
  /** Asks on a connection of its own. */
  ask(
    path: string,
    options?: { token?: string; method?: 'POST'; body?: object }
  ): Promise<{ status: number; text: string }>
  megabytes(): Promise<number>
  /** Faults of its own that it has counted. */
  faults(): Promise<string[]>
}

export type Attacked = {
  plain: Door
  tls: Door
  /** Somebody who is signed up and has nothing to do with the attack. */
  me: { token: string; refresh(): Promise<number> }
  /** A user who attacks. */
  attacker: { token: string }
  /** A service of `/gone`, which is known and refuses connections. */
  away: {
    url: string
    /** When the gateway without a certificate began to connect to it, ms. */
    triedAt(): Promise<number[]>
    comeBack(): Promise<void>
  }
}

/** A system to attack: auth, users and two gateways as they are started everywhere, and a service that gives what attacks need. */
export async function startAttacked(t: Test, settings: Record<string, string>): Promise<Attacked> {
  const stores = await useStores(t)
  const nc = await connectNats({ ...stores.nats, name: 'attacks' })
  t.teardown(() => nc.close())
  await makeStreams(nc)
  const signingKey = generateKeyPairSync('ed25519').privateKey.export({ format: 'jwk' })
  await startProcess(t, '../../../auth/src/main.ts', {
    ...stores.envFor('auth'),
    ...{ LOG_LEVEL: 'warn', AUTH_SIGNING_KEY: JSON.stringify(signingKey), ACCESS_TTL_S: '3600' },
    // An attacker comes from many addresses, and these have one.
    SIGN_IN_FAILURES_ADDRESS: '100000'
  })
  const { files, write } = await certificateFiles(t)
  const { cert } = await write('localhost')
  const env = { ...stores.envFor('gateway'), PORT: '0', ...settings }
  const [plainProcess, tlsProcess] = await Promise.all([
    startProcess(t, '../../src/main.ts', { ...env, ...COUNTING }),
    startProcess(t, '../../src/main.ts', { ...env, ...files, SKERRY_INSTANCE: '2' }),
    startProcess(t, '../../../users/src/main.ts', { ...stores.envFor('users'), LOG_LEVEL: 'warn' }),
    startProcess(t, '../fixtures/attacked-service.ts', stores.envFor('x'))
  ])
  const away = await startAway(t, nc, plainProcess)
  const plain = openDoor(t, plainProcess)
  const tls = openDoor(t, tlsProcess, cert)
  for (const { ask } of [plain, tls])
    await waitFor(async () => (await ask('/x')).status === 200, { message: 'the service is known' })

  const signUp = async (username: string) => {
    const body = { email: `${username}@example.com`, username, password: `password of ${username}` }
    // The service may be known a moment later.
    let answer = await plain.ask('/v1/auth/signup', { method: 'POST', body })
    await waitFor(async () => {
      if (answer.status !== 201) answer = await plain.ask('/v1/auth/signup', { method: 'POST', body })
      return answer.status === 201
    })
    return JSON.parse(answer.text) as Grant
  }
  const [mine, second, attacker] = [await signUp('ada'), await signUp('ada.too'), await signUp('mallory')]
  for (const { ask } of [plain, tls])
    await waitFor(async () => (await ask('/v1/users/me', { token: mine.accessToken })).status === 200)
  let { refreshToken } = second
  return {
    plain,
    tls,
    me: {
      token: mine.accessToken,
      async refresh() {
        const answer = await plain.ask('/v1/auth/refresh', { method: 'POST', body: { refreshToken } })
        if (answer.status === 200) refreshToken = (JSON.parse(answer.text) as Grant).refreshToken
        return answer.status
      }
    },
    attacker: { token: attacker.accessToken },
    away
  }
}

/** The streams of others from which users takes events, and which it waits for before it is ready. */
async function makeStreams(nc: NatsConnection): Promise<void> {
  const manifest = JSON.parse(await readFile(join(import.meta.dirname, '../../../users/package.json'), 'utf8')) as {
    skerry: { consumers: Record<string, string[]> }
  }
  const owners = new Set(Object.values(manifest.skerry.consumers).flat())
  const jsm = await managerOf(nc)
  for (const name of owners)
    if (name !== 'auth' && name !== 'users') await jsm.streams.add({ name, subjects: [`${name}.>`] })
}

function openDoor(t: Test, app: AppProcess, ca?: string): Door {
  const port = Number(new URL(app.url).port)
  const dispatcher = new Agent({
    ...{ headersTimeout: PATIENCE_MS, bodyTimeout: PATIENCE_MS },
    connect: { timeout: PATIENCE_MS, ...(ca === undefined ? {} : { ca, servername: 'localhost' }) }
  })
  t.teardown(() => dispatcher.destroy())
  const origin = `${ca === undefined ? 'http' : 'https'}://127.0.0.1:${port}`
  return {
    process: app,
    port,
    async ask(path, { token, method = 'POST', body } = {}) {
      const answer = await request(`${origin}${path}`, {
        ...{ dispatcher, reset: true, method: body === undefined ? 'GET' : method },
        headers: {
          ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
          ...(body === undefined ? {} : { 'content-type': 'application/json', 'idempotency-key': randomUUID() })
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) })
      })
      return { status: answer.statusCode, text: await answer.body.text() }
    },
    async megabytes() {
      const text = await readFile(`/proc/${app.child.pid}/status`, 'utf8')
      return Math.round(Number(/^VmRSS:\s+(\d+)/m.exec(text)![1]) / 1_024)
    },
    async faults() {
      const text = await (await fetch(`${app.ops}/metrics`)).text()
      return text.match(/^skerry_faults_total.*$/gm) ?? []
    }
  }
}

/** Announces who has a port and does not listen: connections are refused, and nobody else can take it. */
async function startAway(t: Test, nc: NatsConnection, gateway: AppProcess): Promise<Attacked['away']> {
  const bound = new BoundSocket({ host: '127.0.0.1', port: 0 })
  const { port } = bound.address() as { port: number }
  const url = `http://127.0.0.1:${port}`
  const announced = await announce(nc, {
    ...{ service: 'gone', version: '0.0.0', instance: '1', weight: 1, url, prefixes: ['/gone'] }
  })
  t.teardown(() => announced.close())
  return {
    url,
    async triedAt() {
      const answered = once(gateway.child, 'message')
      gateway.child.send({ connectsTo: port })
      const [{ connects }] = (await answered) as [{ connects: number[] }]
      return connects
    },
    async comeBack() {
      const server = createServer((_request, response) => response.end('back'))
      t.teardown(() => server.close())
      await once(server.listen({ handle: bound }), 'listening')
    }
  }
}
