import { appendFileSync, existsSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { runDemo } from '../src/demo/index.ts'
import type { RawMail } from '../src/demo/mail.ts'
import { type Api, serveApi } from './demo-api.ts'
import { MAILS, mail } from './demo-mails.ts'

const WHOLE = { users: 9, posts: 7, comments: 5, follows: 4 }

/** Three people with four posts each. */
const POSTS: RawMail[] = Array.from({ length: 12 }, (_, i) =>
  mail(
    `posts/${i}`,
    `From: p${i % 3}@people.example`,
    `Message-ID: <post${i}@x>`,
    `Date: Fri, 23 Aug 2002 ${String(i).padStart(2, '0')}:00:00 GMT`,
    `Subject: subject ${i}`,
    '',
    `post ${Math.floor(i / 3)}`
  )
)

function setup(t: Test, api: Api, raw: readonly RawMail[] = MAILS) {
  const home = t.testdir({})
  const mails = { name: 'test', count: raw.length, read: () => raw }
  const written: string[] = []
  const out = { write: (text: string) => written.push(text) }
  const run = (more: { signal?: AbortSignal; limit?: number } = {}) =>
    runDemo({ baseUrl: api.url, home, out, mails, ...more })
  return { home, journal: join(home, 'demo', 'journal.jsonl'), text: () => written.join(''), run }
}

function loaded(api: Api) {
  return { users: api.users.length, posts: api.posts.length, comments: api.comments.length, follows: api.follows.size }
}

t.test('loads users, follows, posts in order and comments, and says so', async (t) => {
  const api = await serveApi(t)
  const { home, text, run } = setup(t, api)
  const result = await run()
  t.match(result, { ...WHOLE, mails: MAILS.length, tags: 6 })
  t.same(loaded(api), WHOLE)
  t.same(api.posts.map((p) => p.text.slice(0, 4)).sort(), ['Firs', 'Has ', 'It c', 'Long', 'One', 'One ', 'word'])
  const thread = api.comments.filter((c) => c.postId === api.posts[0]?.id).map((c) => c.text)
  t.same(thread, ['Not yet.', 'A pity.'])
  t.ok(api.users.every((u) => /^[0-9a-f]{16}@demo\.invalid$/.test(u.email) && u.password.length >= 20))
  t.match(text(), /9 users, 7 posts, 5 comments, 4 follows, 6 tags, from 16 mails/)
  t.match(text(), /1 no sender/)
  t.match(text(), new RegExp(`TOKEN=\\$\\(curl -s ${api.url}/v1/auth/login`))
  t.equal(statSync(join(home, 'demo', 'secret')).mode & 0o777, 0o600)
  t.equal(statSync(join(home, 'demo', 'journal.jsonl')).mode & 0o777, 0o600)
  t.notOk(existsSync(join(home, 'demo', 'lock')))
})

t.test('threads are loaded several at once; the posts of one author one after the other', async (t) => {
  const api = await serveApi(t)
  const { run } = setup(t, api, POSTS)
  let here = 0
  let most = 0
  const authors = new Map<string, number>()
  const released = Promise.withResolvers<void>()
  api.hold = async ({ method, path, user }) => {
    if (method !== 'POST' || path !== '/v1/posts') return
    const mine = (authors.get(user) ?? 0) + 1
    authors.set(user, mine)
    t.equal(mine, 1, `one post of ${user} is on its way`)
    most = Math.max(most, ++here)
    // All three authors have a post here before any is answered: with one at a time this would never be.
    if (here === 3) released.resolve()
    await released.promise
    here--
    authors.set(user, mine - 1)
  }
  t.match(await run(), { users: 3, posts: 12 })
  t.equal(most, 3)
  for (const { id } of api.users)
    t.same(
      api.posts.filter((p) => p.author === id).map((p) => p.text),
      ['post 0', 'post 1', 'post 2', 'post 3'],
      'in the order of their dates'
    )
})

t.test('the first mails: how many of how many, and how to load all', async (t) => {
  const api = await serveApi(t)
  const { run, text } = setup(t, api)
  t.match(await run({ limit: 5 }), { more: true })
  t.match(text(), /from the first 5 of 16 mails in/)
  t.match(text(), /All of them, which takes minutes: npm run demo -- --all\n/)
  t.match(await run(), { more: false })
  const before = text().length
  t.match(await run({ limit: 5 }), { more: false })
  t.notMatch(text().slice(before), /--all/, 'all are there')
})

t.test('a second run writes nothing, and one sign-in is enough', async (t) => {
  const api = await serveApi(t)
  const { run } = setup(t, api)
  await run()
  const { writes } = api
  t.match(await run(), WHOLE)
  t.equal(api.logins, 1)
  t.equal(api.writes, writes + 1, 'the sign-in')
})

t.test('a limit first, the rest later', async (t) => {
  const api = await serveApi(t)
  const { run } = setup(t, api)
  await run({ limit: 5 })
  t.same(loaded(api), { users: 3, posts: 2, comments: 3, follows: 3 })
  await run()
  t.same(loaded(api), WHOLE)
})

t.test('interrupted after every write, it goes on without doubles', async (t) => {
  const api = await serveApi(t)
  const { run, text } = setup(t, api)
  let runs = 0
  for (let done = false; !done; runs++) {
    const abort = new AbortController()
    const stopAt = api.writes + 2
    api.onWrite = (n) => {
      if (n >= stopAt) abort.abort(new Error('Ctrl-C'))
      return undefined
    }
    done = (await run({ signal: abort.signal })) !== undefined
    if (runs > 60) throw new Error('it never ends')
  }
  t.ok(runs > 3, `${runs} runs`)
  t.same(loaded(api), WHOLE)
  t.match(text(), /Interrupted with \d+ mails loaded: run it again to go on/)
})

t.test('answers that get lost are asked for again: nothing twice', async (t) => {
  const api = await serveApi(t)
  const { run } = setup(t, api)
  api.onWrite = (n) => (n % 3 === 0 ? 'lose' : undefined)
  await run()
  t.same(loaded(api), WHOLE)
})

t.test('an answer lost more than a day ago is looked up', async (t) => {
  const api = await serveApi(t)
  const { run, journal } = setup(t, api)
  await run()
  // As if the last run had died between each request and its answer, two days ago.
  const lines = readFileSync(journal, 'utf8').trim().split('\n')
  const aged = lines
    .map((line) => JSON.parse(line))
    .filter((line) => line.t !== 'post' && line.t !== 'comment')
    .map((line) => JSON.stringify(line.t === 'try' ? { ...line, at: line.at - 48 * 3600 * 1000 } : line))
  writeFileSync(journal, `${aged.join('\n')}\n`)
  api.forgetKeys()
  t.match(await run(), WHOLE)
  t.same(loaded(api), WHOLE)
})

t.test('a lost journal is made up from what is there', async (t) => {
  const api = await serveApi(t)
  const { run, journal } = setup(t, api)
  await run({ limit: 14 })
  rmSync(journal)
  api.forgetKeys()
  for (const user of api.users) user.createdAt = '2020-01-01T00:00:00.000Z'
  t.match(await run(), WHOLE)
  t.same(loaded(api), WHOLE)
})

t.test('half a line at the end of the journal is cut off', async (t) => {
  const api = await serveApi(t)
  const { run, journal } = setup(t, api)
  await run({ limit: 5 })
  appendFileSync(journal, '{"t":"post","key":"list/0')
  await run()
  await run()
  t.same(loaded(api), WHOLE)
  const lines = readFileSync(journal, 'utf8').trim().split('\n')
  t.ok(lines.every((line) => JSON.parse(line)))
})

t.test('when the data was wiped it begins anew', async (t) => {
  const api = await serveApi(t)
  const { run, text } = setup(t, api)
  await run()
  api.wipe()
  await run()
  t.same(loaded(api), WHOLE)
  t.match(text(), /not there any more: loading it anew/)
  api.posts.length = 0
  api.comments.length = 0
  api.forgetKeys()
  await run()
  t.same(loaded(api), WHOLE, 'also when only the posts are gone')
})

t.test('another secret cannot take over users that are there, and says so', async (t) => {
  const api = await serveApi(t)
  const { run, home } = setup(t, api)
  await run({ limit: 1 })
  rmSync(join(home, 'demo', 'secret'))
  const email = api.users[0]?.email ?? ''
  await run({ limit: 1 })
  t.same(api.users.map((u) => u.username).sort()[0], 'ada.lovelace')
  t.match(api.users[1]?.username, /^ada\.lovelace\.[0-9a-f]{5}$/, 'the name is taken, so another is found')
  t.not(api.users[1]?.email, email)
})

t.test('limits are waited out, sessions that ended are renewed', async (t) => {
  const api = await serveApi(t)
  const { run } = setup(t, api)
  let refused = 0
  let first: { text: string; at: number } | undefined
  const waits: number[] = []
  api.before = ({ path, text }) => {
    if (path !== '/v1/auth/signup') return undefined
    const now = { text, at: performance.now() }
    if (first?.text === text) waits.push(now.at - first.at)
    if (refused++ % 2 === 1) return undefined
    first ??= now
    return {
      status: 429,
      headers: { 'retry-after': first === now ? '1' : '0' },
      body: { title: 'slow down', status: 429, code: 'RATE_LIMITED' }
    }
  }
  await run({ limit: 5 })
  t.ok(refused > 3)
  // Timers may fire a little early.
  t.ok(waits[0] !== undefined && waits[0] >= 990, `it comes back when it was told to: ${waits}`)
  api.before = () => undefined
  const { logins } = api
  api.endSessions()
  await run()
  t.same(loaded(api), WHOLE)
  t.ok(api.logins > logins)
})

t.test('a mail the server refuses is counted with its comments, and the rest goes on', async (t) => {
  const api = await serveApi(t)
  const { run, text } = setup(t, api)
  let n = 0
  api.before = ({ method, path }) =>
    method === 'POST' && path === '/v1/posts' && n++ === 0
      ? { status: 400, body: { title: 'no', status: 400, code: 'BAD_REQUEST' } }
      : undefined
  const result = await run()
  t.match(result, { posts: 6, comments: 3, skipped: { 'refused: BAD_REQUEST': 1, 'refused: the post it answers': 2 } })
  t.match(text(), /1 refused: BAD_REQUEST/)
})

t.test('an API that refuses ends it with one line, and two loaders do not run at once', async (t) => {
  const api = await serveApi(t)
  const { run, home } = setup(t, api)
  api.before = () => ({ status: 403, body: { title: 'no', status: 403, code: 'FORBIDDEN' } })
  await t.rejects(run(), { name: 'StartError', message: /refused.*FORBIDDEN/ })
  api.before = () => undefined
  await run({ limit: 1 })
  writeFileSync(join(home, 'demo', 'lock'), `${process.ppid}\n`)
  await t.rejects(run(), { name: 'StartError', message: /loaded already, by process/ })
  await t.rejects(run({ limit: Number.NaN }), { name: 'StartError' })
  writeFileSync(join(home, 'demo', 'lock'), '999999999\n')
  await run({ limit: 1 })
})
