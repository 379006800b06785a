import type { Trends } from '@skerry/contracts'
import t from 'tap'
import { eventually, startContent } from './support/system.ts'

const { person, instances, clock, store } = await startContent(t, { instances: 2 })
const HOUR_MS = 3_600_000

async function trends(query = ''): Promise<Trends> {
  const answer = await instances[0]!.app.inject({ method: 'GET', url: `/v1/trends${query}` })
  if (answer.statusCode !== 200) throw new Error(`trends answered ${answer.statusCode}: ${answer.body}`)
  return answer.json()
}

/** The trends of a computation that began after this was called. */
async function computed(): Promise<Trends> {
  const from = Date.now() + clock.offsetMs
  clock.offsetMs += 60_000
  return eventually('computed', async () => {
    const found = await trends()
    return found.computedAt !== null && Date.parse(found.computedAt) > from && found
  })
}

t.test('tags are ordered by how many write about them, not by how much one does', async (t) => {
  const [ada, bob, cleo] = [person(), person(), person()]
  for (let i = 0; i < 5; i++) await ada.post(`spam ${i}`, { tags: ['spam'] })
  await ada.post('one', { tags: ['sea', 'rare'] })
  await bob.post('two', { tags: ['sea'] })
  await cleo.post('three', { tags: ['sea'] })
  const { items } = await computed()
  t.match(items, [
    { tag: 'sea', posts: 3, authors: 3 },
    { tag: 'rare', posts: 1, authors: 1 },
    { tag: 'spam', posts: 5, authors: 1 }
  ])
  t.equal((await trends('?limit=1')).items.length, 1)
})

t.test('what people like weighs more, what is old less, and what is gone nothing', async (t) => {
  const [ada, bob] = [person(), person()]
  const liked = await ada.post('liked', { tags: ['liked'] })
  const plain = await ada.post('plain', { tags: ['plain'] })
  await bob.send('PUT', `/v1/posts/${liked.id}/like`)
  const scores = new Map((await computed()).items.map((trend) => [trend.tag, trend.score]))
  t.ok(scores.get('liked')! > scores.get('plain')!)
  await ada.send('DELETE', `/v1/posts/${plain.id}`)
  clock.offsetMs += 12 * HOUR_MS
  const later = new Map((await computed()).items.map((trend) => [trend.tag, trend.score]))
  t.ok(Math.abs(later.get('liked')! / scores.get('liked')! - 0.5) < 0.05, 'half as much after the half-life')
  t.notOk(later.has('plain'))
  clock.offsetMs += 72 * HOUR_MS
  t.same((await computed()).items, [], 'nothing after three days')
})

t.test('bounds of the query', async (t) => {
  for (const query of ['?limit=0', '?limit=51', '?limit=x', '?other=1']) {
    const answer = await instances[0]!.app.inject({ method: 'GET', url: `/v1/trends${query}` })
    t.equal(answer.statusCode, 400, query)
  }
  t.equal(await store.db.collection('trends').countDocuments({ _id: { $in: ['tags' as never] } }), 1)
})
