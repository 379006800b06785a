import { setTimeout as delay } from 'node:timers/promises'
import type { Post, Profile } from '@skerry/contracts'
import { faultRun, shuffled, startSystem, waitFor } from '@skerry/testing'
import t, { type Test } from 'tap'
import { DEADLINE_MS, startOnceWriters } from './helpers/once-writers.ts'
import { openStream, type Phone, signUp } from './helpers/phone.ts'
import { everything, insist, startWriters } from './helpers/writers.ts'

// In each round every part of the system dies once by kill -9, under writes, in an order and after numbers of writes that the seed says;
// then each store stands still for a while; then everything that was acknowledged is looked for. `npm run test:faults -- system-kills` runs
// more rounds, in which both instances of each service die, and stores stand still for longer.
const run = faultRun({ short: 1, long: 10 })
t.setTimeout(run.limitMs)
const AUTHORS = 3
/** Posts that may be written from one death to the next: the sum is bounded by the deaths, not by the machine. */
const AHEAD = run.long ? 100 : 30
const SERVICES = ['auth', 'users', 'content', 'realtime']
const ALONE = ['gateway', 'mongod', 'nats-server', 'redis']

/**
 * What dies in a round. In the long version both instances of each service, so that the owner of each relay and consumer dies for certain; in
 * the short one each part dies once, of a service the instance that the seed says.
 */
function victims(random: () => number): readonly [name: string, instance: string][] {
  const instances = (): string[] => (run.long ? ['1', '2'] : [random() < 0.5 ? '1' : '2'])
  return [
    ...SERVICES.flatMap((name) => instances().map((instance): [string, string] => [name, instance])),
    ...ALONE.map((name): [string, string] => [name, '1'])
  ]
}
/** Stores that are stopped (SIGSTOP), and whether posts can be written meanwhile: events wait in an outbox. */
const STILL: readonly [name: string, writable: boolean][] = [
  ['mongod', false],
  ['nats-server', true],
  ['redis', true]
]
const STILL_MS = run.long ? 10_000 : 0
/** How many answers are waited for before, while and after a store stands still. */
const ENOUGH = 8
/** What a busy machine may add to a deadline. */
const LATE_MS = 5_000
const WAIT_MS = 180_000

const system = await startSystem(t, {
  args: ['--scale', '2'],
  // A feed keeps its newest 1,000 entries, fewer than are written here; and tokens live longer than any part of the long run may take.
  env: { LIMIT_USER_PER_SECOND: '100000', LIMIT_USER_BURST: '100000', FEED_KEEP: '100000', ACCESS_TTL_S: '3600' }
})
const authors = await Promise.all(Array.from({ length: AUTHORS }, (_, i) => signUp(system.url, `author${i}`)))
const reader = await signUp(system.url, 'reader')
// A profile is there when its owner has asked for it, whether its event has come or not.
const careful = await signUp(system.url, 'careful')
const everybody = [...authors, careful]
for (const author of everybody) await insist(author, 'GET', '/v1/users/me')
for (const author of everybody) await insist(reader, 'PUT', `/v1/users/${author.grant.user.id}/follow`)
const writers = startWriters(authors, reader)
t.teardown(() => writers.stop())
const { liked } = writers
/** By their author's id. */
const acknowledged = new Map<string, readonly string[]>([...writers.acknowledged, [careful.grant.user.id, []]])

for (const round of run.rounds) {
  // After a round that failed it is not known what the next one would show.
  if (!t.passing()) break
  await t.test(`round ${round}`, { timeout: run.limitMs }, async (t) => {
    const random = run.random(round)
    const dying = victims(run.random(round, 'victims'))
    for (const [i, [name, instance]] of shuffled(dying, random).entries()) {
      await writers.write(AHEAD, 3 + Math.floor(random() * 20), `before ${name} ${instance} dies`)
      const pid = await system.kill(name, instance)
      await system.restarted(name, instance, pid)
      t.comment(`progress ${i + 1}/${dying.length} deaths, the last ${name} ${instance}; ${writers.count()} posts`)
    }
    for (const [name, writable] of shuffled(STILL, random)) {
      await writers.write(AHEAD, 3, `before ${name} stands still`)
      await standStill(t, name, writable)
    }
    await writers.write(AHEAD, 6, 'after all of it')
    await writers.pause()
    await holds(t)
  })
}

/** Stops a store, and lets it go on: whoever writes meanwhile is told within their deadline whether it was done. */
async function standStill(t: Test, name: string, writable: boolean): Promise<void> {
  const clients = startOnceWriters(system.url, careful)
  t.teardown(() => clients.stop())
  const count = (good: boolean) => clients.told.filter(({ status }) => (status === 201) === good).length
  const more = async (good: boolean, message: string) => {
    const before = count(good)
    await waitFor(() => count(good) >= before + ENOUGH, { timeoutMs: WAIT_MS, message })
  }
  await more(true, `posts are accepted before ${name} stands still`)
  const pid = await system.kill(name, '1', 'SIGSTOP')
  try {
    await Promise.all([
      more(writable, `${name} stands still: posts are ${writable ? '' : 'not '}accepted`),
      delay(STILL_MS)
    ])
  } finally {
    process.kill(pid, 'SIGCONT')
  }
  await more(true, `${name} goes on: posts are accepted`)
  await clients.settle()
  acknowledged.set(careful.grant.user.id, [...acknowledged.get(careful.grant.user.id)!, ...clients.acknowledged])

  const odd = clients.told.filter(
    ({ status, code }) => !['201 ', '503 UNAVAILABLE', '504 TIMEOUT'].includes(`${status} ${code}`)
  )
  t.same(odd, [], `${name} stood still: each post was accepted, or refused with 503 or 504`)
  const longest = Math.max(...clients.told.map(({ ms }) => ms))
  t.comment(
    `${name} stood still: ${count(true)} posts accepted, ${count(false)} refused, the longest after ${Math.round(longest)} ms`
  )
  if (run.long) t.ok(longest < DEADLINE_MS + LATE_MS, `none was answered ${LATE_MS} ms after its deadline`)
}

/** Nothing acknowledged is lost, and every event has its effect once. */
async function holds(t: Test): Promise<void> {
  for (const [id, ids] of writers.acknowledged) acknowledged.set(id, ids)
  for (const author of everybody) {
    const { id } = author.grant.user
    const mine = acknowledged.get(id)!
    const list = await everything<Post>(author, `/v1/posts?author=${id}&`)
    t.same(list.map((p) => p.id).sort(), [...mine].sort(), 'every acknowledged post is there, and no other')
    await waitFor(async () => (await postsOf(author)) >= mine.length, {
      timeoutMs: WAIT_MS,
      message: `the profile counts ${mine.length} posts`
    })
    const likes = (post: Post) => ({ id: post.id, likes: post.counts.likes })
    t.same(
      list.map(likes),
      list.map((post) => ({ id: post.id, likes: liked.has(post.id) ? 1 : 0 })),
      'each like counts once'
    )
  }
  const expected = [...acknowledged.values()].flat().sort()
  let feed: string[] = []
  await waitFor(
    async () => {
      feed = (await everything<Post>(reader, '/v1/feed?')).map((p) => p.id)
      return feed.length >= expected.length
    },
    { timeoutMs: WAIT_MS, message: `the feed of the follower gets all ${expected.length} posts` }
  )
  t.same(feed.sort(), expected, 'the feed is complete, each post once')

  // Nothing comes late and changes the counts: one more event is waited for, then they are read again.
  const [first] = authors as [Phone]
  let stream = await openStream(system.url, first.grant.accessToken)
  while (stream.status >= 500) {
    stream.close()
    stream = await openStream(system.url, first.grant.accessToken)
  }
  const unliked = acknowledged.get(first.grant.user.id)!.find((id) => !liked.has(id))!
  await insist(reader, 'PUT', `/v1/posts/${unliked}/like`)
  await waitFor(() => stream.messages.some((m) => m.type === 'post.liked'), {
    timeoutMs: WAIT_MS,
    message: 'events still flow'
  })
  stream.close()
  await insist(reader, 'DELETE', `/v1/posts/${unliked}/like`)
  for (const author of everybody)
    t.equal(await postsOf(author), acknowledged.get(author.grant.user.id)!.length, 'the profile counts each post once')
}

async function postsOf(author: Phone): Promise<number> {
  return (await insist<Profile>(author, 'GET', '/v1/users/me')).counts.posts
}
