import { authRoutes, type Grant } from '@skerry/contracts'
import { managerOf } from '@skerry/service'
import { newId } from '@skerry/store'
import { type Counted, countRoundTrips, isSettled, putJobsOff, roundTripTable, waitFor } from '@skerry/testing'
import t from 'tap'
import { startAuth } from './support/system.ts'

// The first instance serves requests alone, and the second does what follows, so that each is counted by itself.
const { instances, call, signUp, store, nc, stopEvents } = await startAuth(t, { instances: 2 })
const [front, back] = instances as [(typeof instances)[0], (typeof instances)[0]]
await stopEvents(0)
const jsm = await managerOf(nc)
const settled = () => waitFor(() => isSettled(store.db, jsm, ['auth']), { message: 'all that follows is done' })

await putJobsOff(store.db)
await signUp()
await settled()

const asked = countRoundTrips(front.store.client)
const follows = countRoundTrips(back.store.client, nc)
const rows = new Map<string, Counted>()

type Options = { body?: object; token?: string; as?: string; alone?: true }

/** Counts what a request that is to succeed asks for, and what follows it; `alone`: that is a saga, which takes its time. */
async function send<T = Grant>(line: string, { as, alone, ...options }: Options = {}): Promise<T> {
  const [method, path] = line.split(' ') as [Parameters<typeof call>[0], string]
  await settled()
  asked.take()
  follows.take()
  const headers: Record<string, string> = method === 'POST' ? { 'idempotency-key': newId(0) } : {}
  const { status, body } = await call<T>(method, path, { ...options, headers, at: 0 })
  if (status >= 300) throw new Error(`${line} answered ${status}: ${JSON.stringify(body)}`)
  await settled()
  const name = `${method} ${as ?? path}`
  rows.set(name, asked.take())
  const rest = follows.take()
  if (rest.commands > 0 && alone === undefined) rows.set(`${name}: then`, rest)
  return body
}

t.test('what each route asks of the stores, and what follows it', async (t) => {
  const ada = { username: 'ada', email: 'ada@example.org', password: 'the password of ada' }
  const made = await send('POST /v1/auth/signup', { body: ada })
  const { accessToken: token } = made
  const second = await send('POST /v1/auth/login', { body: { login: 'ada', password: ada.password } })
  const third = await send('POST /v1/auth/refresh', { body: { refreshToken: second.refreshToken } })
  await send('GET /v1/auth/sessions', { token })
  await send(`DELETE /v1/auth/sessions/${third.session.id}`, { as: '/v1/auth/sessions/:id', token })
  await send('PATCH /v1/auth/account', { token, body: { username: 'ada2' } })
  await send('GET /.well-known/jwks.json')
  const fourth = await send('POST /v1/auth/login', { body: { login: 'ada2', password: ada.password } })
  await send('POST /v1/auth/logout', { token: fourth.accessToken })
  const job = await send<{ id: string }>('POST /v1/auth/account/exports', { token, body: {}, alone: true })
  const at = `/v1/auth/account/exports/${job.id}`
  await waitFor(async () => (await call<{ state: string }>('GET', at, { token })).body.state === 'ready')
  await send(`GET ${at}`, { as: '/v1/auth/account/exports/:id', token })
  await send(`GET ${at}/document`, { as: '/v1/auth/account/exports/:id/document', token })
  const deletion = await send<{ id: string }>('DELETE /v1/auth/account', {
    token,
    body: { currentPassword: ada.password },
    alone: true
  })
  await send(`GET /v1/auth/account/deletions/${deletion.id}`, { as: '/v1/auth/account/deletions/:id' })
  const { counted, kept } = await roundTripTable('auth', rows, authRoutes)
  t.equal(kept, counted)
})
