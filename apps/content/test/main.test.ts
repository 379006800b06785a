import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import type { Post } from '@skerry/contracts'
import { connectNats, ensureBuckets, publishIdentity } from '@skerry/service'
import { useStores } from '@skerry/testing'
import t from 'tap'
import { jwks, somebody } from './support/people.ts'
import { eventually } from './support/system.ts'
import { fakeUsers } from './support/users.ts'

type Ready = { type: string; url: string; ops: string }

t.test('two real processes: ready, serving, and one killed under writes', async (t) => {
  const stores = await useStores(t)
  const nc = await connectNats({ ...stores.nats, name: 'test' })
  t.teardown(() => nc.close())
  await ensureBuckets(nc)
  await publishIdentity(nc).setJwks(jwks)
  const users = await fakeUsers(nc)
  const env = { ...process.env, ...stores.envFor('content'), LOG_LEVEL: 'error', DRAIN_MS: '50', IDLE_KEPT_MS: '0' }
  const start = (instance: string) =>
    fork(join(import.meta.dirname, '../src/main.ts'), { env: { ...env, SKERRY_INSTANCE: instance }, execArgv: [] })
  const children = [start('1'), start('2')]
  t.teardown(() => {
    for (const child of children) child.kill('SIGKILL')
  })
  const [one, two] = (await Promise.all(children.map(ready))) as [Ready, Ready]
  for (const { ops } of [one, two]) t.equal((await fetch(`${ops}/readyz`)).status, 200)

  const ada = somebody('ada')
  const bob = somebody('bob')
  const send = (url: string, who = ada, init: RequestInit = {}) =>
    fetch(url, { ...init, headers: { authorization: `Bearer ${who.token}`, 'content-type': 'application/json' } })
  await users.follow(bob.id, ada.id)
  const accepted: string[] = []
  const publish = async (url: string, text: string) => {
    const answer = await send(`${url}/v1/posts`, ada, { method: 'POST', body: JSON.stringify({ text }) })
    if (answer.status === 201) accepted.push(((await answer.json()) as Post).id)
    return answer.status
  }
  t.equal(await publish(one.url, 'first'), 201)
  const storm = Promise.all(
    Array.from({ length: 40 }, (_, i) => publish(i % 2 === 0 ? one.url : two.url, `p${i}`).catch(() => 'cut'))
  )
  // Some are in before the kill, some are cut by it.
  await eventually('some', async () => accepted.length > 5)
  children[0]?.kill('SIGKILL')
  await storm
  for (let i = 0; i < 5; i++) t.equal(await publish(two.url, `after ${i}`), 201)

  const feed = async () => {
    const answer = await send(`${two.url}/v1/feed?limit=100&fields=id`, bob)
    return ((await answer.json()) as { items: { id: string }[] }).items.map((post) => post.id)
  }
  await eventually('all that was accepted', async () => {
    const ids = new Set(await feed())
    return accepted.every((id) => ids.has(id))
  })
  const metrics = await (await fetch(`${two.ops}/metrics`)).text()
  for (const name of ['skerry_outbox_depth', 'skerry_events_relayed_total', 'skerry_event_lag_seconds_bucket']) {
    t.match(metrics, name)
  }
  const exit = once(children[1]!, 'exit')
  children[1]?.kill('SIGTERM')
  t.strictSame(await exit, [0, null])
})

async function ready(child: ChildProcess): Promise<Ready> {
  const message = await Promise.race([once(child, 'message'), once(child, 'exit')])
  const [first] = message as [Ready | number | null]
  if (first === null || typeof first === 'number') throw new Error(`ended before it was ready: ${first}`)
  return first
}
