import type { Grant } from '@skerry/contracts'
import { connectNats, managerOf } from '@skerry/service'
import { useStores, waitFor } from '@skerry/testing'
import t from 'tap'
import { ended, ready, startProcess } from './support/process.ts'
import { newSigningKey } from './support/system.ts'

t.test('two real processes: one is killed while people sign up, and nobody is lost', async (t) => {
  const stores = await useStores(t)
  const nc = await connectNats({ ...stores.nats, name: 'test' })
  t.teardown(() => nc.close())
  const env = { ...stores.envFor('auth'), AUTH_SIGNING_KEY: newSigningKey() }
  const children = [
    startProcess(t, { ...env, SKERRY_INSTANCE: '1' }),
    startProcess(t, { ...env, SKERRY_INSTANCE: '2' })
  ]
  const [one, two] = await Promise.all([ready(children[0]!), ready(children[1]!)])
  for (const { ops } of [one, two]) t.equal((await fetch(`${ops}/readyz`)).status, 200)

  const post = (url: string, path: string, body: object | undefined, headers: Record<string, string> = {}) =>
    fetch(`${url}/v1/auth/${path}`, {
      method: 'POST',
      headers: { ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...headers },
      ...(body === undefined ? {} : { body: JSON.stringify(body) })
    })
  const accepted = new Map<string, Grant>()
  const signUp = async (url: string, username: string) => {
    const body = { email: `${username}@x.org`, username, password: `password of ${username}` }
    const answer = await post(url, 'signup', body, { 'idempotency-key': username })
    if (answer.status === 201) accepted.set(username, (await answer.json()) as Grant)
    return answer.status
  }
  const names = Array.from({ length: 24 }, (_, i) => `person${i}`)
  const storm = Promise.all(names.map((name, i) => signUp(i % 2 ? one.url : two.url, name).catch(() => 'cut')))
  await waitFor(() => accepted.size > 3)
  children[0]?.kill('SIGKILL')
  await storm
  const before = new Map(accepted)
  t.comment(`${before.size} of ${names.length} were accepted`)
  const there = new Set<string>()
  for (const name of names) {
    const answer = await post(two.url, 'login', { login: name, password: `password of ${name}` })
    if (answer.status === 200) there.add(name)
  }
  const accounts = there.size
  t.same(
    [...before.keys()].filter((name) => !there.has(name)),
    [],
    'whoever was told so has an account'
  )
  const refreshed: number[] = []
  for (const { refreshToken } of before.values())
    refreshed.push((await post(two.url, 'refresh', { refreshToken })).status)
  t.same([...new Set(refreshed)], [200], 'and a session')

  const created = async () => {
    const jsm = await managerOf(nc)
    const { state } = await jsm.streams.info('auth', { subjects_filter: 'auth.account.created.v1.0' })
    return state.subjects?.['auth.account.created.v1.0'] ?? 0
  }
  // Also those whose answer was cut after the commit; each of them once.
  await waitFor(async () => (await created()) >= accounts)
  t.equal(await created(), accounts)

  const [grant] = before.values()
  const authorization = `Bearer ${grant!.accessToken}`
  t.equal((await post(two.url, 'logout', undefined, { authorization })).status, 204)
  t.equal((await post(two.url, 'logout', undefined, { authorization })).status, 204, 'again, as after a lost answer')
  t.equal((await fetch(`${two.url}/v1/auth/sessions`, { headers: { authorization } })).status, 401)
  const metrics = await (await fetch(`${two.ops}/metrics`)).text()
  t.match(metrics, 'skerry_events_relayed_total')
  const end = ended(children[1]!)
  children[1]?.kill('SIGTERM')
  t.equal((await end).code, 0)
})

t.test('a bad configuration is one line and exit code 1', async (t) => {
  const { code, output } = await ended(
    startProcess(t, { AUTH_SIGNING_KEY: '{"kty":"OKP","crv":"Ed25519","d":"c2VjcmV0"}' })
  )
  t.equal(code, 1)
  t.equal(output.trim().split('\n').length, 1)
  t.match(output, /MONGO_URL is missing/)
  t.notMatch(output, /c2VjcmV0/)
})
