import { newId, transaction } from '@skerry/store'
import { waitFor } from '@skerry/testing'
import t from 'tap'
import { countPosts } from '../src/domain/count-posts.ts'
import { createDeps } from '../src/domain/deps.ts'
import { startUsers } from './support/system.ts'

const { person, neighbours, readEvents, store } = await startUsers(t, { instances: 2 })
const asker = person('asker')
const holder = async (name: string) => (await asker.page(`/v1/users?username=${name}`)).items[0]?.id

t.test('names follow the accounts, whichever event comes first', async (t) => {
  const ada = person('Ada')
  await neighbours.created(ada)
  await neighbours.renamed(ada, 'Countess', 2)
  await waitFor(async () => (await holder('countess')) === ada.id)
  t.equal(await holder('ada'), undefined, 'what was given up is nobody’s')
  t.match(await asker.send('GET', `/v1/users/${ada.id}`), { body: { username: 'Countess', version: 2 } })
  // Only the case changes.
  await neighbours.renamed(ada, 'COUNTESS', 3)
  await waitFor(async () => (await asker.send('GET', `/v1/users/${ada.id}`)).body.username === 'COUNTESS')
  t.equal(await holder('countess'), ada.id)

  // Bea had the name before Cleo; Cleo's events come first.
  const now = Date.now()
  const bea = person('shared', newId(1, now - 2_000))
  const cleo = person('shared', newId(2, now))
  await neighbours.created(cleo)
  await waitFor(async () => (await holder('shared')) === cleo.id)
  await neighbours.created(bea)
  await neighbours.renamed(bea, 'bea', 2, now - 1_000)
  await waitFor(async () => (await holder('bea')) === bea.id)
  t.equal(await holder('shared'), cleo.id)

  // A token told the new name before the events did.
  const dan = person('dan')
  const renamed = person('daniel', dan.id)
  await renamed.me()
  await neighbours.created(dan)
  await neighbours.renamed(dan, 'daniel', 2)
  await neighbours.renamed(dan, 'danny', 3)
  await waitFor(async () => (await holder('danny')) === dan.id)
  t.equal(await holder('dan'), undefined)
  t.equal(await holder('daniel'), undefined)
})

t.test('posts are counted once, also those of somebody unknown', async (t) => {
  const eve = person('eve')
  const kept = await neighbours.posted(eve.id)
  await neighbours.repeatLast()
  const gone = await neighbours.posted(eve.id)
  const marker = person('marker')
  await marker.me()
  await neighbours.posted(marker.id)
  await waitFor(async () => (await marker.me()).counts.posts === 1)
  t.equal((await asker.send('GET', `/v1/users/${eve.id}`)).status, 404, 'not yet anybody')
  await neighbours.created(eve)
  await waitFor(async () => (await asker.send('GET', `/v1/users/${eve.id}`)).status === 200)
  await waitFor(async () => (await eve.me()).counts.posts === 2)
  await neighbours.unposted(eve.id, gone)
  await waitFor(async () => (await eve.me()).counts.posts === 1)
  await neighbours.unposted(eve.id, kept)
  await neighbours.repeatLast()
  await neighbours.posted(marker.id)
  await waitFor(async () => (await marker.me()).counts.posts === 2)
  await waitFor(async () => (await eve.me()).counts.posts === 0)
  t.equal((await eve.me()).version, 1, 'counts are no edits')
})

t.test('posts that are counted together change each profile once', async (t) => {
  const [zoe, kim, lou] = [person('zoe2'), person('kim'), person('lou')]
  for (const { me } of [zoe, kim, lou]) await me()
  const { client } = store
  const statements: number[] = []
  const note = ({ commandName, command }: { commandName: string; command: Record<string, unknown> }) =>
    void (
      commandName === 'update' &&
      command.update === 'profiles' &&
      statements.push((command.updates as unknown[]).length)
    )
  client.on('commandStarted', note)
  const by = ({ id: authorId }: { id: string }, more: 1 | -1) => ({ authorId, by: more })
  await transaction(store, {}, (tx) =>
    countPosts(createDeps(store), tx, [
      by(zoe, 1),
      by(kim, 1),
      by(zoe, 1),
      by(lou, 1),
      by(zoe, 1),
      by(zoe, -1),
      by(lou, -1)
    ])
  )
  await transaction(store, {}, (tx) => countPosts(createDeps(store), tx, [by(lou, 1), by(lou, -1)]))
  client.off('commandStarted', note)
  t.same(statements, [2], 'one write, of those whose count has changed')
  t.same([(await zoe.me()).counts.posts, (await kim.me()).counts.posts, (await lou.me()).counts.posts], [2, 1, 0])
})

t.test('who leaves is gone, with all follows', async (t) => {
  const fay = person('fay')
  const gus = person('gus')
  await fay.me()
  await gus.me()
  t.equal((await fay.send('PUT', `/v1/users/${gus.id}/follow`)).status, 204)
  t.equal((await gus.send('PUT', `/v1/users/${fay.id}/follow`)).status, 204)
  await neighbours.deleted(fay)
  await waitFor(async () => (await gus.me()).counts.followers === 0)
  await waitFor(async () => (await gus.me()).counts.following === 0)
  t.match(await gus.send('GET', `/v1/users/${fay.id}`), { status: 404, body: { code: 'USR_NOT_FOUND' } })
  t.equal(await holder('fay'), undefined)
  t.match(await fay.send('GET', '/v1/users/me'), { status: 404 })
  t.match(await gus.send('PUT', `/v1/users/${fay.id}/follow`), { status: 404 })
  t.same((await gus.page(`/v1/users/${gus.id}/followers`)).items, [])
  await neighbours.repeatLast()
  const deleted = async () => (await readEvents()).filter((e) => e.subject === 'users.follow.deleted.v1').length
  await waitFor(async () => (await deleted()) === 2)
  const again = person('fay')
  await neighbours.created(again)
  await waitFor(async () => (await holder('fay')) === again.id)
  t.equal(await deleted(), 2)
})
