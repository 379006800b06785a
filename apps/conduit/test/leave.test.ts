import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Deletion, Export, ExportDocument, Grant } from '@skerry/contracts'
import { type System, startSystem, waitFor } from '@skerry/testing'
import t from 'tap'
import { frontEnd, PASSWORD, phone, register, slugs } from './support/front-end.ts'

const home = await mkdtemp(join(tmpdir(), 'skerry-leave-'))
t.teardown(() => rm(home, { recursive: true, force: true }))
const start = (...args: string[]) => startSystem(t, { home, args })
const withConduit = () => start('--with', 'conduit')

/** Signs in as a phone does. */
async function phoneOf({ url }: System, username: string) {
  const login = { login: username, password: PASSWORD }
  const { accessToken } = (await phone<Grant>(url, 'POST', '/v1/auth/login', undefined, login)).body
  return async <T>(method: string, path: string, body?: unknown) => {
    const answer = await phone<T>(url, method, path, accessToken, body)
    if (answer.status >= 300) throw new Error(`${method} ${path} answered ${answer.status}`)
    return answer.body
  }
}
async function deletionOf({ url }: System, id: string): Promise<Deletion> {
  return (await phone<Deletion>(url, 'GET', `/v1/auth/account/deletions/${id}`)).body
}
const article = (title: string) => ({ article: { title, description: 'b', body: 'c' } })

t.test('conduit answers to exports and deletions, and is waited for while it does not run', async (t) => {
  let system = await withConduit()
  const base = `${system.url}/conduit/api`
  const { ask: asLena } = await register(base, 'lena')
  const { user: tom, ask: asTom } = await register(base, 'tom')
  await asLena('PUT', '/user', { user: { image: 'https://images.example/lena.png' } })
  await asTom('PUT', '/user', { user: { image: 'https://images.example/tom.png' } })
  await asLena('POST', '/articles', article('By Lena'))
  await asTom('POST', '/articles', article('By Tom'))
  const path = '/articles/by-tom'
  await asLena('POST', `${path}/favorite`)
  await asLena('POST', `${path}/comments`, { comment: { body: 'lena says' } })
  await asLena('POST', '/profiles/tom/follow')

  const ofLena = await phoneOf(system, 'lena')
  const { id: exportId } = await ofLena<Export>('POST', '/v1/auth/account/exports', { currentPassword: PASSWORD })
  const at = `/v1/auth/account/exports/${exportId}`
  await waitFor(async () => (await ofLena<Export>('GET', at)).state === 'ready', { message: 'the export is ready' })
  const { services } = await ofLena<ExportDocument>('GET', `${at}/document`)
  t.match(services.conduit, {
    sessions: [{ id: String, expiresAt: String }],
    picture: [{ url: 'https://images.example/lena.png' }],
    articles: [{ slug: 'by-lena' }],
    comments: [{ number: 1 }]
  })

  const first = await ofLena<Deletion>('DELETE', '/v1/auth/account', { currentPassword: PASSWORD })
  t.same(first.waitingFor, ['conduit', 'content', 'realtime', 'users'])
  await waitFor(async () => (await deletionOf(system, first.id)).state === 'done', { message: 'all have erased' })
  const { erased } = await deletionOf(system, first.id)
  const { counts } = erased.find(({ service }) => service === 'conduit') ?? {}
  // What else it had may have ended before, by the events of others' erasures.
  t.match(counts, { pictures: 1, articles: Number, comments: Number, favorites: Number, follows: Number })
  const anybody = frontEnd(base)
  t.same([(await asLena('GET', '/user')).status, (await anybody('GET', '/profiles/lena')).status], [401, 404])
  t.same(slugs((await anybody('GET', '/articles')).body.articles), ['by-tom'])
  await waitFor(async () => (await anybody('GET', path)).body.article.favoritesCount === 0)
  t.same((await anybody('GET', `${path}/comments`)).body.comments, [])
  t.equal(await system.stop(), 0)

  system = await start()
  const second = await (await phoneOf(system, 'tom'))<Deletion>('DELETE', '/v1/auth/account', {})
  await waitFor(async () => (await deletionOf(system, second.id)).waitingFor.join() === 'conduit', {
    message: 'it has taken part once, so it is waited for'
  })
  t.equal(await system.stop(), 0)

  system = await withConduit()
  await waitFor(async () => (await deletionOf(system, second.id)).state === 'done', { message: 'it has caught up' })
  const proof = (await deletionOf(system, second.id)).erased.find(({ service }) => service === 'conduit')
  // Sessions, articles and the like may end by their own events before; the picture is Conduit's alone.
  t.match(proof, { counts: { pictures: 1 } })
  t.equal((await frontEnd(`${system.url}/conduit/api`, tom.token)('GET', '/user')).status, 401)
  t.equal((await frontEnd(`${system.url}/conduit/api`)('GET', '/articles')).body.articlesCount, 0)
})
