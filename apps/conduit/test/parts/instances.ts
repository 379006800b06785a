import type { Grant, PageOf, Session } from '@skerry/contracts'
import { waitFor } from '@skerry/testing'
import t from 'tap'
import { type Article, frontEnd, PASSWORD, phone, register, slugs } from '../support/front-end.ts'
import { anybody, base, conduit, type Instance, startConduit, system } from '../support/system.ts'

// Two instances, of which the second is this part's own.
let second: Instance | undefined
const bases = () => [conduit.base, second!.base]
/** Waits until the gateway shares requests among so many instances. */
async function shared(count: number): Promise<void> {
  const { ops } = (await system.run()).processes.find(({ name }) => name === 'gateway')!
  const line = new RegExp(`^skerry_gateway_live_instances\\{.*upstream="conduit".*\\} ${count}$`, 'm')
  await waitFor(async () => line.test(await (await fetch(`${ops}/metrics`)).text()), {
    message: `the gateway knows ${count} instances`
  })
}
const articleOf = (title: string) => ({ article: { title, description: 'b', body: 'c' } })

t.test('each instance knows what the other was told', async (t) => {
  second = await startConduit('2')
  await shared(2)
  const { user } = await register(base, 'ines')
  const [one, two] = bases().map((url) => frontEnd(url, user.token)) as [typeof anybody, typeof anybody]
  const { article } = (await one('POST', '/articles', articleOf('Two doors'))).body
  const path = `/articles/${article.slug}`
  t.same((await two('GET', path)).body.article, article)
  t.match((await two('POST', `${path}/favorite`)).body.article, { favorited: true, favoritesCount: 1 })
  t.match((await one('DELETE', `${path}/favorite`)).body.article, { favorited: false, favoritesCount: 0 })
  t.match((await two('GET', path)).body.article, { favorited: false, favoritesCount: 0 })
  const { comment } = (await two('POST', `${path}/comments`, { comment: { body: 'x' } })).body
  t.equal((await one('DELETE', `${path}/comments/${comment.id}`)).status, 204)
  t.same((await two('GET', `${path}/comments`)).body.comments, [])
})

t.test('many requests at once at both instances renew a session without ending it', async (t) => {
  const { user } = await register(base, 'rene')
  const askers = bases().map((url) => frontEnd(url, user.token))
  for (let round = 0; round < 3; round++) {
    const answers = await Promise.all(Array.from({ length: 16 }, (_, i) => askers[i % 2]!('GET', '/user')))
    t.same(
      answers.map((answer) => answer.status),
      answers.map(() => 200)
    )
  }
})

t.test('an instance is killed in the middle: what was answered is there, once', async (t) => {
  const { ask } = await register(base, 'kim')
  const answered: string[] = []
  const lane = async (lane: number) => {
    for (let i = 0; i < 8; i++) {
      // A request that the killed instance had may fail; whether it was done is not known then.
      const made = await ask('POST', '/articles', articleOf(`Lane ${lane} part ${i}`))
      if (made.status === 201) answered.push(made.body.article.slug)
    }
  }
  const writing = Promise.all([0, 1, 2, 3].map(lane))
  await waitFor(() => answered.length >= 5)
  await second!.kill()
  await writing
  const { body } = await ask('GET', '/articles?author=kim&limit=100')
  const shown = slugs(body.articles)
  t.equal(new Set(shown).size, shown.length)
  t.strictSame(
    answered.filter((slug) => !shown.includes(slug)),
    []
  )
  t.ok(answered.length > 5, `${answered.length} of 32 were answered`)
  second = await startConduit('2')
  t.match((await ask('GET', '/user')).body.user, { username: 'kim' }, 'still signed in')
})

t.test('what others write through the public API comes by events', async (t) => {
  const person = { email: 'mia@example.com', username: 'mia', password: PASSWORD }
  t.equal((await phone(system.url, 'POST', '/v1/auth/signup', undefined, person)).status, 201)
  const login = { login: 'mia', password: PASSWORD }
  // Tokens are short here, and what is waited for below may take longer: each request has one of its own.
  const asMia = async <T>(method: string, path: string, body?: unknown) => {
    const { accessToken } = (await phone<Grant>(system.url, 'POST', '/v1/auth/login', undefined, login)).body
    const answer = await phone<T>(system.url, method, path, accessToken, body)
    t.ok(answer.status < 300, `${method} is taken`, { answer })
    return answer
  }
  const post = { title: 'From a phone', summary: 'In short', text: 'At length', tags: ['phone'] }
  const { id } = (await asMia<{ id: string }>('POST', '/v1/posts', post)).body
  await asMia('POST', '/v1/posts', { text: 'No title, so no article.' })
  const comment = await asMia<{ id: string }>('POST', `/v1/posts/${id}/comments`, { text: 'First' })
  await asMia('PUT', `/v1/posts/${id}/like`)
  const read = async () => (await anybody('GET', '/articles/from-a-phone')).body.article as Article | undefined
  await waitFor(async () => (await read())?.favoritesCount === 1)
  t.match(await read(), { description: 'In short', body: 'At length', tagList: ['phone'], author: { username: 'mia' } })
  t.equal((await anybody('GET', '/articles?author=mia')).body.articlesCount, 1)
  const commentsOf = async (slug: string) => (await anybody('GET', `/articles/${slug}/comments`)).body.comments
  await waitFor(async () => (await commentsOf('from-a-phone')).length === 1)
  await asMia('DELETE', `/v1/comments/${comment.body.id}`)
  await asMia('PATCH', `/v1/posts/${id}`, { title: 'From the phone' })
  await waitFor(async () => (await anybody('GET', '/articles/from-the-phone')).status === 200)
  await waitFor(async () => (await commentsOf('from-the-phone')).length === 0)
  await asMia('DELETE', `/v1/posts/${id}`)
  await waitFor(async () => (await anybody('GET', '/articles?author=mia')).body.articlesCount === 0)
})

t.test('revoking the session in Skerry ends it here', async (t) => {
  const { ask } = await register(base, 'sam')
  const login = { login: 'sam', password: PASSWORD }
  const { accessToken } = (await phone<Grant>(system.url, 'POST', '/v1/auth/login', undefined, login)).body
  const { items } = (await phone<PageOf<Session>>(system.url, 'GET', '/v1/auth/sessions', accessToken)).body
  const conduits = items.find((session) => !session.current)
  const ended = await phone(system.url, 'DELETE', `/v1/auth/sessions/${conduits?.id}`, accessToken)
  t.equal(ended.status, 204)
  // At the next call of the API, whether or not the event has come.
  const write = await ask('POST', '/articles', articleOf('Late'))
  t.same([write.status, write.text], [401, ''])
  t.equal((await ask('GET', '/user')).status, 401)
})

t.test('the second one leaves', async () => {
  await second!.stop()
  await shared(1)
})
