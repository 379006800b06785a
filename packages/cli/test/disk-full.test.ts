import { randomUUID } from 'node:crypto'
import { mkdir, readdir, stat, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { PageOf, Post, Profile } from '@skerry/contracts'
import { startSystem, waitFor } from '@skerry/testing'
import t, { type Test } from 'tap'
import { boundLogs } from '../src/up/logs.ts'
import { runCli } from './helpers/cli.ts'
import { type Phone, signUp } from './helpers/phone.ts'
import { type SmallDisk, smallDisk } from './helpers/small-disk.ts'

// mongod's files take 300 MB before the first write, and a start wants 500 MB free.
const MEGABYTES = 900
const AUTHORS = 3
/** Of an author, between two posts: how many there are says nothing. */
const PAUSE_MS = 30
/** Bounds a wait; nothing is measured by it. */
const LONG = { timeoutMs: 240_000 }
t.setTimeout(900_000)

const disk = await smallDisk(t, MEGABYTES)
async function all<T extends { id: string }>(phone: Phone, path: string): Promise<T[]> {
  const items: T[] = []
  for (let cursor: string | null = ''; cursor !== null; ) {
    const page: { status: number; body: PageOf<T> } = await phone.call(
      'GET',
      `${path}limit=100${cursor && `&cursor=${cursor}`}`
    )
    if (page.status !== 200) throw new Error(`${path} answered ${page.status}`)
    items.push(...page.body.items)
    cursor = page.body.nextCursor
  }
  return items
}

const title = 'a full disk ends nothing but the stores, which come back; nothing acknowledged is lost or doubled'
if ('missing' in disk) t.test(title, { skip: disk.missing }, () => undefined)
else t.test(title, (t) => fillAndFree(t, disk))

const logs = 'logs that are too long are begun afresh although there is no room to keep them, and that is told once'
const tiny = await smallDisk(t, 4)
if ('missing' in tiny) t.test(logs, { skip: tiny.missing }, () => undefined)
else t.test(logs, (t) => boundOnFullDisk(t, tiny))

async function boundOnFullDisk(t: Test, disk: SmallDisk): Promise<void> {
  const path = join(disk.folder, 'logs', 'large.log')
  await mkdir(dirname(path))
  await writeFile(path, 'x'.repeat(2_000_000))
  await writeFile(`${path}.1`, 'of before')
  disk.fill()
  const said: string[] = []
  boundLogs(disk.folder, (line) => said.push(line), 1_000_000)()
  t.match(said, [/large\.log is begun afresh, and nothing of it is kept: ENOSPC/])
  t.equal((await stat(path)).size, 0)
  t.same(await readdir(dirname(path)), ['large.log'], 'half a copy is not kept')
}

async function fillAndFree(t: Test, disk: SmallDisk): Promise<void> {
  const home = join(disk.folder, 'home')
  const env = { LIMIT_USER_PER_SECOND: '100000', LIMIT_USER_BURST: '100000', FEED_KEEP: '100000', ACCESS_TTL_S: '3600' }
  const system = await startSystem(t, { home, env })
  const told = (line: RegExp) => system.output().match(new RegExp(line, 'gm'))?.length ?? 0
  const services = async () =>
    (await system.run()).processes
      .filter((p) => p.ops !== null)
      .map(({ name, instance, pid }) => `${name} ${instance} is process ${pid}`)
      .sort()

  const authors = await Promise.all(Array.from({ length: AUTHORS }, (_, i) => signUp(system.url, `author${i}`)))
  const reader = await signUp(system.url, 'reader')
  for (const { grant } of authors)
    await waitFor(async () => (await reader.call('PUT', `/v1/users/${grant.user.id}/follow`)).status === 204, LONG)
  const before = await services()

  const acknowledged = new Map<Phone, string[]>(authors.map((author) => [author, []]))
  const total = () => [...acknowledged.values()].reduce((sum, ids) => sum + ids.length, 0)
  /** Answers that are no success, by what they say. */
  const refusals = new Map<string, number>()
  let writing = true

  /** A phone that tries again with the same key, as it is told to, until its post is accepted. */
  async function insist(author: Phone, text: string): Promise<string> {
    const key = randomUUID()
    for (;;) {
      const response = await fetch(`${system.url}/v1/posts`, {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          'idempotency-key': key,
          authorization: `Bearer ${author.grant.accessToken}`
        },
        body: JSON.stringify({ text }),
        // Above every bound of the gateway and of services: what takes longer was not bounded.
        signal: AbortSignal.timeout(60_000)
      })
      const body = (await response.json()) as { id: string; code?: string }
      if (response.ok) return body.id
      const what = `${response.status} ${body.code}${response.headers.has('retry-after') ? ', retry-after' : ''}`
      refusals.set(what, (refusals.get(what) ?? 0) + 1)
      await delay(100)
    }
  }

  const writers = authors.map(async (author, a) => {
    for (let i = 0; writing; i++) {
      acknowledged.get(author)?.push(await insist(author, `${a} ${i} ${'x'.repeat(2_000)}`))
      await delay(PAUSE_MS)
    }
  })
  // A writer that fails is seen at the end; until then waiting goes on.
  const written = Promise.allSettled(writers)

  await waitFor(() => total() >= 10, LONG)
  disk.fill()
  const refilling = setInterval(() => disk.fill(), 200)
  t.teardown(() => clearInterval(refilling))
  await waitFor(() => told(/^mongod died/) > 0, { ...LONG, message: 'mongod has died' })
  await waitFor(() => told(/^nats-server cannot write/) > 0, { ...LONG, message: 'nats-server cannot write' })
  await waitFor(() => told(/^mongod did not come back/) > 0, { ...LONG, message: 'mongod was started in vain' })
  await waitFor(() => told(/run\.json cannot be written/) > 0, { ...LONG, message: 'run.json cannot be written' })
  await waitFor(() => refusals.size > 0, { ...LONG, message: 'a phone was refused' })
  t.equal(system.cli.exitCode, null, 'skerry up runs on')

  clearInterval(refilling)
  disk.free()
  for (const line of [/^mongod is back$/, /^nats-server is back$/, /run\.json is written again$/])
    await waitFor(() => told(line) > 0, { ...LONG, message: String(line) })
  const atLeast = total() + 30
  await waitFor(() => total() >= atLeast, { ...LONG, message: 'posts are accepted again' })
  writing = false
  for (const result of await written) if (result.status === 'rejected') throw result.reason

  t.same(
    [...refusals.keys()].filter((what) => !/^(503 \w+|409 IDEMPOTENCY_IN_FLIGHT), retry-after$/.test(what)),
    [],
    'only 503, or that the same request is still under way; with Retry-After'
  )
  t.same(await services(), before, 'no service and no gateway was ended')
  t.equal(told(/run\.json cannot be written/), told(/run\.json is written again/), 'told once each time')
  // Consumers begin again after pauses of their own.
  await waitFor(async () => (await runCli(['status'], { SKERRY_HOME: home })).code === 0, {
    ...LONG,
    message: 'all parts are ready'
  })

  for (const author of authors) {
    const posts = await all<Post>(author, `/v1/posts?author=${author.grant.user.id}&`)
    const ids = posts.map((p) => p.id)
    t.same(
      [...ids].sort(),
      [...(acknowledged.get(author) ?? [])].sort(),
      'each acknowledged post is there, and no other'
    )
    t.equal(new Set(posts.map((p) => p.text)).size, posts.length, 'none twice')
    const counted = async () => (await author.call<Profile>('GET', '/v1/users/me')).body.counts.posts
    await waitFor(async () => (await counted()) === ids.length, { ...LONG, message: 'the count of posts' })
  }
  const wanted = [...acknowledged.values()].flat().sort()
  const feed = async () => (await all<Post>(reader, '/v1/feed?')).map((p) => p.id).sort()
  await waitFor(async () => (await feed()).length >= wanted.length, {
    ...LONG,
    message: 'the feed has all posts'
  })
  t.same(await feed(), wanted, 'each post is in the feed once')
}
