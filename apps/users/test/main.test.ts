import { type PageOf, type Profile, usersRoutes } from '@skerry/contracts'
import { connectNats, ensureBuckets, publishIdentity } from '@skerry/service'
import { useStores, waitFor } from '@skerry/testing'
import t from 'tap'
import { startNeighbours } from './support/neighbours.ts'
import { jwks, type Someone, somebody } from './support/people.ts'
import { ended, ready, startProcess } from './support/process.ts'

t.test('two real processes: one is killed while people follow, and counts stay right', async (t) => {
  const stores = await useStores(t)
  const nc = await connectNats({ ...stores.nats, name: 'test' })
  t.teardown(() => nc.close())
  await ensureBuckets(nc)
  await publishIdentity(nc).setJwks(jwks)
  const neighbours = await startNeighbours(nc)
  const env = stores.envFor('users')
  const children = [
    startProcess(t, { ...env, SKERRY_INSTANCE: '1' }),
    startProcess(t, { ...env, SKERRY_INSTANCE: '2' })
  ]
  const [one, two] = await Promise.all([ready(children[0]!), ready(children[1]!)])
  for (const { ops } of [one, two]) t.equal((await fetch(`${ops}/readyz`)).status, 200)
  const { paths } = (await (await fetch(`${one.ops}/openapi.json`)).json()) as { paths: object }
  // What is declared: a route that is added takes no part of this test.
  t.same(
    Object.keys(paths).sort(),
    [...new Set(Object.values(usersRoutes).map(({ path }) => path.replaceAll(/:(\w+)/g, '{$1}')))].sort()
  )

  const send = (url: string, who: Someone, path: string, method = 'GET') =>
    fetch(`${url}/v1/users/${path}`, { method, headers: { authorization: `Bearer ${who.token}` } })
  const star = somebody('star')
  t.equal((await send(one.url, star, 'me')).status, 200)
  const fans = Array.from({ length: 20 }, (_, i) => somebody(`fan${i}`))
  const accepted: Someone[] = []
  const storm = Promise.all(
    fans.map(async (fan, i) => {
      const answer = await send(i % 2 ? one.url : two.url, fan, `${star.id}/follow`, 'PUT').catch(() => undefined)
      if (answer?.status === 204) accepted.push(fan)
    })
  )
  await waitFor(() => accepted.length > 3)
  children[0]?.kill('SIGKILL')
  await storm

  const read = async <T>(path: string) => (await (await send(two.url, star, path)).json()) as T
  const followers = (await read<PageOf<Profile>>(`${star.id}/followers?limit=100`)).items
  t.same(
    accepted.filter((fan) => !followers.some((p) => p.id === fan.id)),
    [],
    'whoever was told so follows'
  )
  // A commit that the killed one had sent may still be on its way.
  await waitFor(
    async () =>
      (await read<Profile>('me')).counts.followers ===
      (await read<PageOf<Profile>>(`${star.id}/followers?limit=100`)).items.length,
    { message: 'the count is right' }
  )

  // The survivor takes the consumers over.
  const late = somebody('late')
  await neighbours.created(late)
  await neighbours.posted(late.id)
  await waitFor(async () => (await read<Profile>(late.id)).counts?.posts === 1)

  const end = ended(children[1]!)
  children[1]?.kill('SIGTERM')
  t.equal((await end).code, 0)
})

t.test('a bad configuration is one line and exit code 1', async (t) => {
  const { code, output } = await ended(startProcess(t, {}))
  t.equal(code, 1)
  t.equal(output.trim().split('\n').length, 1)
  t.match(output, /MONGO_URL is missing/)
})
