import type { Deletion, Export, ExportDocument, Grant } from '@skerry/contracts'
import { waitFor } from '@skerry/testing'
import t from 'tap'
import { frontEnd, PASSWORD, phone, register, slugs } from '../support/front-end.ts'
import { anybody, base, conduit, startConduit, system } from '../support/system.ts'

const { url } = system

/** Signs in as a phone does: for each request again, since tokens are short here. */
function phoneOf(username: string) {
  const login = { login: username, password: PASSWORD }
  return async <T>(method: string, path: string, body?: unknown) => {
    const { accessToken } = (await phone<Grant>(url, 'POST', '/v1/auth/login', undefined, login)).body
    const answer = await phone<T>(url, method, path, accessToken, body)
    if (answer.status >= 300) throw new Error(`${method} ${path} answered ${answer.status}`)
    return answer.body
  }
}
async function deletionOf(id: string): Promise<Deletion> {
  return (await phone<Deletion>(url, 'GET', `/v1/auth/account/deletions/${id}`)).body
}
const article = (title: string) => ({ article: { title, description: 'b', body: 'c' } })

t.test('conduit answers to exports and deletions, and is waited for while it does not run', async (t) => {
  const { ask: asLena } = await register(base, 'lena')
  const { user: tom, ask: asTom } = await register(base, 'tom')
  await asLena('PUT', '/user', { user: { image: 'https://images.example/lena.png' } })
  await asTom('PUT', '/user', { user: { image: 'https://images.example/tom.png' } })
  await asLena('POST', '/articles', article('By Lena'))
  await asTom('POST', '/articles', article('By Tom'))
  const path = '/articles/by-tom'
  await asLena('POST', `${path}/favorite`)
  const { comment } = (await asLena('POST', `${path}/comments`, { comment: { body: 'lena says' } })).body
  await asLena('POST', '/profiles/tom/follow')

  const ofLena = phoneOf('lena')
  const { id: exportId } = await ofLena<Export>('POST', '/v1/auth/account/exports', { currentPassword: PASSWORD })
  const at = `/v1/auth/account/exports/${exportId}`
  await waitFor(async () => (await ofLena<Export>('GET', at)).state === 'ready', { message: 'the export is ready' })
  const { services } = await ofLena<ExportDocument>('GET', `${at}/document`)
  t.match(services.conduit, {
    sessions: [{ id: String, expiresAt: String }],
    picture: [{ url: 'https://images.example/lena.png' }],
    articles: [{ slug: 'by-lena' }],
    comments: [{ number: comment.id }]
  })

  const first = await ofLena<Deletion>('DELETE', '/v1/auth/account', { currentPassword: PASSWORD })
  t.same(first.waitingFor, ['conduit', 'content', 'realtime', 'users'])
  await waitFor(async () => (await deletionOf(first.id)).state === 'done', { message: 'all have erased' })
  const { erased } = await deletionOf(first.id)
  const { counts } = erased.find(({ service }) => service === 'conduit') ?? {}
  // What else it had may have ended before, by the events of others' erasures.
  t.match(counts, { pictures: 1, articles: Number, comments: Number, favorites: Number, follows: Number })
  t.same([(await asLena('GET', '/user')).status, (await anybody('GET', '/profiles/lena')).status], [401, 404])
  t.same((await anybody('GET', '/articles?author=lena')).body, { articles: [], articlesCount: 0 })
  t.same(slugs((await anybody('GET', '/articles?author=tom')).body.articles), ['by-tom'])
  await waitFor(async () => (await anybody('GET', path)).body.article.favoritesCount === 0)
  t.same((await anybody('GET', `${path}/comments`)).body.comments, [])

  t.equal(await conduit.stop(), 0)
  const second = await phoneOf('tom')<Deletion>('DELETE', '/v1/auth/account', {})
  await waitFor(async () => (await deletionOf(second.id)).waitingFor.join() === 'conduit', {
    message: 'it has taken part once, so it is waited for'
  })

  await startConduit()
  await waitFor(async () => (await deletionOf(second.id)).state === 'done', { message: 'it has caught up' })
  const proof = (await deletionOf(second.id)).erased.find(({ service }) => service === 'conduit')
  // Sessions, articles and the like may end by their own events before; the picture is Conduit's alone.
  t.match(proof, { counts: { pictures: 1 } })
  t.equal((await frontEnd(base, tom.token)('GET', '/user')).status, 401)
  t.equal((await anybody('GET', '/articles?author=tom')).body.articlesCount, 0)
})
