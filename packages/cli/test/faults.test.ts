import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import type { PageOf, Post, Profile } from '@skerry/contracts'
import { startSystem, waitFor } from '@skerry/testing'
import t from 'tap'
import { openStream, type Phone, signUp } from './helpers/phone.ts'

// SKERRY_ROUNDS of kills over every part; the long run (npm run test:faults) sets more.
const rounds = Number(process.env.SKERRY_ROUNDS ?? (process.env.SKERRY_FAULTS ? 10 : 1))
const AUTHORS = 3
t.setTimeout((rounds + 4) * 60_000)

const system = await startSystem(t, {
  // A feed keeps its newest 1,000 entries, and a quick machine writes more than that in the time of the kills; a slow one takes longer than a
  // token lives.
  env: { LIMIT_USER_PER_SECOND: '100000', LIMIT_USER_BURST: '100000', FEED_KEEP: '100000', ACCESS_TTL_S: '3600' }
})

/** Everything of a list, page by page. */
async function all<T extends { id: string }>(phone: Phone, path: string): Promise<T[]> {
  const items: T[] = []
  let cursor: string | null = ''
  while (cursor !== null) {
    const { status, body }: { status: number; body: PageOf<T> } = await phone.call(
      'GET',
      `${path}limit=100${cursor === '' ? '' : `&cursor=${cursor}`}`
    )
    if (status !== 200) throw new Error(`${path} answered ${status}`)
    items.push(...body.items)
    cursor = body.nextCursor
  }
  return items
}

t.test(
  'kill -9 of every part under writes: nothing acknowledged is lost, every event has its effect once',
  async (t) => {
    const authors = await Promise.all(Array.from({ length: AUTHORS }, (_, i) => signUp(system.url, `author${i}`)))
    const reader = await signUp(system.url, 'reader')
    for (const author of authors) {
      await waitFor(async () => (await reader.call('PUT', `/v1/users/${author.grant.user.id}/follow`)).status === 204)
    }

    const acknowledged = new Map<string, string[]>(authors.map((a) => [a.grant.user.id, []]))
    const liked = new Set<string>()
    let writing = true
    let count = 0

    /** A phone on a bad network: the same request with the same key until it is answered with a success. */
    async function insist(author: Phone, method: string, path: string, body?: unknown): Promise<{ id?: string }> {
      const key = { 'idempotency-key': randomUUID() }
      for (;;) {
        try {
          const answer = await author.call<{ id?: string; code?: string }>(method, path, body, key)
          if (answer.status < 300) return answer.body ?? {}
          if (answer.status < 500 && answer.status !== 409 && answer.status !== 429)
            throw new Error(`${path} answered ${answer.status} ${answer.body.code}`)
        } catch (error) {
          // What phones meet: a connection that broke. Anything else is a fault of the test.
          if (!(error instanceof TypeError) && (error as Error).name !== 'TimeoutError') throw error
        }
        await delay(50)
      }
    }

    const writers = authors.map(async (author, a) => {
      const mine = acknowledged.get(author.grant.user.id)!
      for (let n = 0; writing; n++) {
        const { id } = await insist(author, 'POST', '/v1/posts', { text: `author ${a} number ${n}` })
        mine.push(id!)
        count++
        if (n % 3 === 0) {
          await insist(reader, 'PUT', `/v1/posts/${id}/like`)
          liked.add(id!)
        }
      }
    })

    const victims = ['auth', 'users', 'content', 'realtime'].flatMap((name) => [
      [name, '1'],
      [name, '2']
    ])
    for (let round = 0; round < rounds; round++) {
      // Both instances in turn, so that the owner of each relay and consumer dies for certain; then the stores.
      for (const [name, instance] of [...victims, ['nats-server', '1'], ['redis', '1']] as [string, string][]) {
        const before = count
        await waitFor(() => count > before + 2, {
          timeoutMs: 60_000,
          message: `writes go on before ${name} ${instance} dies`
        })
        const pid = await system.kill(name, instance)
        await system.restarted(name, instance, pid)
      }
    }
    const before = count
    await waitFor(() => count > before + 5, { timeoutMs: 60_000, message: 'writes go on after all of it' })
    writing = false
    await Promise.all(writers)

    for (const author of authors) {
      const { id } = author.grant.user
      const mine = acknowledged.get(id)!
      const list = await all<Post>(author, `/v1/posts?author=${id}&`)
      t.same(list.map((p) => p.id).sort(), [...mine].sort(), 'every acknowledged post is there, and no other')
      await waitFor(async () => (await author.call<Profile>('GET', '/v1/users/me')).body.counts.posts === mine.length, {
        timeoutMs: 60_000,
        message: `the profile counts ${mine.length} posts`
      })
      for (const post of list) t.equal(post.counts.likes, liked.has(post.id) ? 1 : 0)
    }
    const expected = [...acknowledged.values()].flat().sort()
    await waitFor(async () => (await all<Post>(reader, '/v1/feed?')).length >= expected.length, {
      timeoutMs: 60_000,
      message: `the feed of the follower gets all ${expected.length} posts`
    })
    t.same(
      (await all<Post>(reader, '/v1/feed?')).map((p) => p.id).sort(),
      expected,
      'the feed is complete, each post once'
    )

    // Nothing comes late and changes the counts: one more event is waited for, then they are read again.
    const stream = await openStream(system.url, authors[0]!.grant.accessToken)
    await insist(reader, 'PUT', `/v1/posts/${acknowledged.get(authors[0]!.grant.user.id)![1]}/like`)
    await waitFor(() => stream.messages.some((m) => m.type === 'post.liked'), {
      timeoutMs: 30_000,
      message: 'events still flow'
    })
    stream.close()
    for (const author of authors) {
      t.equal(
        (await author.call<Profile>('GET', '/v1/users/me')).body.counts.posts,
        acknowledged.get(author.grant.user.id)!.length
      )
    }
    t.comment(`${count} posts acknowledged, ${victims.length * rounds + 2 * rounds} kills`)
  }
)
