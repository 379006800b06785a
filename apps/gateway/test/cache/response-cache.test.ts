import { waitFor } from '@skerry/testing'
import t from 'tap'
import { keyOf } from '../../src/cache/cached-route.ts'
import { AnswerTooLargeError, type LoadAnswer, type Served } from '../../src/cache/response-cache.ts'
import { answer, ask, bodyOf, get, heldBack, never, routeWith, withClock } from '../helpers/cache.ts'

const POLICY = { scope: 'public', ttl: 10, staleWhileRevalidate: 5, staleIfError: 100, tags: ['profile:{id}'] } as const
const open = () => routeWith(POLICY)
const byUser = () => routeWith({ ...POLICY, scope: 'private' })
const PROFILE = get('/v1/users/u1')

async function all(count: number, one: () => Promise<Served | undefined>): Promise<(Served | undefined)[]> {
  return Promise.all(Array.from({ length: count }, one))
}

const sourcesOf = (list: (Served | undefined)[]) => {
  const counts: Record<string, number> = {}
  for (const one of list) counts[one?.source ?? 'alone'] = (counts[one?.source ?? 'alone'] ?? 0) + 1
  return counts
}

t.test('1,000 who ask at once are one request', async (t) => {
  const { cache } = withClock()
  const route = open()
  const { load, resolve, asked, wasAsked } = heldBack()
  const answers = all(1_000, () => ask(cache, route, PROFILE, load))
  await wasAsked()
  resolve(answer('v1'))
  t.strictSame(sourcesOf(await answers), { load: 1, coalesced: 999 })
  t.equal(asked(), 1)
  t.match(cache.find(keyOf(route, PROFILE)!), { source: 'memory', stale: false, ageSeconds: 0, ttlSeconds: 10 })
})

t.test('a failure is one request, too', async (t) => {
  for (const fail of [
    (gate: ReturnType<typeof heldBack>) => gate.reject(new Error('no instance')),
    (gate: ReturnType<typeof heldBack>) => gate.resolve(answer('down', ['retry-after', '1'], 503))
  ]) {
    const { cache } = withClock()
    const route = open()
    const gate = heldBack()
    const answers = Promise.allSettled(Array.from({ length: 1_000 }, () => ask(cache, route, PROFILE, gate.load)))
    await gate.wasAsked()
    fail(gate)
    const outcomes = new Set(
      (await answers).map((one) => (one.status === 'rejected' ? one.reason.message : one.value?.answer.status))
    )
    t.equal(outcomes.size, 1)
    t.match([...outcomes][0], /^(no instance|503)$/)
    t.equal(gate.asked(), 1)
    t.equal(cache.stats().entries, 0, 'and nothing is kept of it')
  }
})

t.test('time passes: fresh, stale with one refresh, stale if the service fails, gone', async (t) => {
  const { cache, pass } = withClock()
  const route = open()
  const key = keyOf(route, PROFILE)!
  await ask(cache, route, PROFILE, async () => answer('v1', ['age', '2']))
  pass(9)
  t.match(cache.find(key), { stale: false, ageSeconds: 11, ttlSeconds: 1 }, 'with the age it came with')
  pass(3)
  t.match(cache.find(key), { stale: true, ageSeconds: 14, ttlSeconds: -2 })

  const gate = heldBack()
  for (let i = 0; i < 100; i++) cache.refresh(key, route, PROFILE, gate.load)
  await gate.wasAsked()
  t.match(cache.find(key), { stale: true }, 'served meanwhile')
  gate.resolve(answer('v2'))
  await waitFor(() => cache.find(key)?.stale === false)
  t.equal(bodyOf(cache.find(key)), 'v2')
  t.equal(gate.asked(), 1)

  pass(15)
  t.equal(cache.find(key), undefined)
  const failing: LoadAnswer = async () => answer('down', [], 503)
  t.match(await ask(cache, route, PROFILE, failing), { source: 'stale-if-error', stale: true, ttlSeconds: -5 })
  t.match(await ask(cache, route, PROFILE, () => Promise.reject(new Error('reset'))), {
    source: 'stale-if-error',
    answer: { status: 200 }
  })
  t.match(await ask(cache, route, PROFILE, never), { source: 'stale-if-error' }, 'not asked again within a second')
  pass(95)
  t.match(await ask(cache, route, PROFILE, failing), { source: 'load', answer: { status: 503 } }, 'beyond its time')
})

t.test('a failed refresh leaves the stale answer and is not tried again within a second', async (t) => {
  const { cache, pass } = withClock()
  const route = open()
  const key = keyOf(route, PROFILE)!
  await ask(cache, route, PROFILE, async () => answer('v1'))
  pass(12)
  let asked = 0
  const failing: LoadAnswer = async () => {
    asked++
    return answer('down', [], 502)
  }
  cache.refresh(key, route, PROFILE, failing)
  await waitFor(() => asked === 1)
  // Its failure is taken in by whoever joins it, and by the next turn of the loop at the latest.
  await new Promise(setImmediate)
  cache.refresh(key, route, PROFILE, failing)
  t.match(cache.find(key), { stale: true, answer: { status: 200 } })
  pass(1)
  cache.refresh(key, route, PROFILE, async () => answer('v2'))
  await waitFor(() => bodyOf(cache.find(key)) === 'v2')
  t.equal(asked, 1)
})

t.test('private answers are for their user alone', async (t) => {
  const { cache } = withClock()
  const route = byUser()
  const of = (userId: string) => get('/v1/users/u1', {}, userId)
  const gates = { ada: heldBack(), bob: heldBack() }
  const answers = {
    ada: all(50, () => ask(cache, route, of('ada'), gates.ada.load)),
    bob: all(50, () => ask(cache, route, of('bob'), gates.bob.load))
  }
  await gates.ada.wasAsked()
  await gates.bob.wasAsked()
  gates.ada.resolve(answer('of ada'))
  gates.bob.resolve(answer('of bob'))
  for (const user of ['ada', 'bob'] as const) {
    t.strictSame(new Set((await answers[user]).map(bodyOf)), new Set([`of ${user}`]))
    t.equal(gates[user].asked(), 1)
    t.equal(bodyOf(cache.find(keyOf(route, of(user))!)), `of ${user}`)
  }
  t.equal(cache.find(keyOf(route, of('eve'))!), undefined)
  t.equal(await ask(cache, route, get('/v1/users/u1'), never), undefined, 'and without a user there are none')
})

t.test('an answer for one caller is not given to who waited, who go their own way for a while', async (t) => {
  const { cache, pass } = withClock()
  const route = open()
  const gate = heldBack()
  const answers = all(10, () => ask(cache, route, PROFILE, gate.load))
  await gate.wasAsked()
  gate.resolve(answer('v1', ['set-cookie', 'session=1']))
  const list = await answers
  t.strictSame(sourcesOf(list), { load: 1, alone: 9 })
  t.ok(list.find((one) => one !== undefined)?.answer.headers.includes('session=1'), 'who asked gets all of it')
  t.equal(await ask(cache, route, PROFILE, never), undefined, 'the next does not wait for it')
  pass(10)
  t.match(await ask(cache, route, PROFILE, async () => answer('v2')), { source: 'load', answer: { use: 'keep' } })
})

t.test('a refusal of one caller is neither shared nor remembered', async (t) => {
  const { cache } = withClock()
  const route = routeWith(POLICY, { auth: 'required' })
  const gate = heldBack()
  const answers = all(10, () => ask(cache, route, PROFILE, gate.load))
  await gate.wasAsked()
  gate.resolve(answer('expired', [], 401))
  t.strictSame(sourcesOf(await answers), { load: 1, alone: 9 })
  t.match(await ask(cache, route, PROFILE, async () => answer('v1')), { source: 'load', answer: { status: 200 } })
})

t.test('what is not to be stored is for who asked for it, and nobody who waited', async (t) => {
  const { cache, pass } = withClock()
  const route = open()
  const gate = heldBack()
  const answers = all(10, () => ask(cache, route, PROFILE, gate.load))
  await gate.wasAsked()
  gate.resolve(answer('v1', ['cache-control', 'no-store']))
  t.strictSame(sourcesOf(await answers), { load: 1, alone: 9 })
  t.equal(cache.find(keyOf(route, PROFILE)!), undefined)
  pass(10)
  t.match(await ask(cache, route, PROFILE, async () => answer('v2')), { source: 'load' })

  t.test('nor is the answer before it', async (t) => {
    cache.refresh(keyOf(route, PROFILE)!, route, PROFILE, async () => answer('v3', ['cache-control', 'no-store']))
    await waitFor(() => cache.find(keyOf(route, PROFILE)!) === undefined)
    t.equal(cache.stats().entries, 0)
  })
})

t.test('a policy without times shares what is under way', async (t) => {
  const { cache } = withClock()
  const route = routeWith({ scope: 'public', ttl: 0 })
  const gate = heldBack()
  const answers = all(10, () => ask(cache, route, PROFILE, gate.load))
  await gate.wasAsked()
  gate.resolve(answer('v1'))
  t.strictSame(sourcesOf(await answers), { load: 1, coalesced: 9 })
  t.equal(cache.stats().entries, 0)
})

t.test('an answer that is too large goes past the cache, and is not collected again for a while', async (t) => {
  const { cache, pass } = withClock()
  const route = open()
  const gate = heldBack()
  const answers = all(10, () => ask(cache, route, PROFILE, gate.load))
  await gate.wasAsked()
  gate.reject(new AnswerTooLargeError())
  t.strictSame(sourcesOf(await answers), { alone: 10 })
  pass(59)
  t.equal(await ask(cache, route, PROFILE, never), undefined)
  pass(1)
  t.match(await ask(cache, route, PROFILE, async () => answer('small')), { source: 'load', answer: { use: 'keep' } })

  pass(12)
  const key = keyOf(route, PROFILE)!
  cache.refresh(key, route, PROFILE, () => Promise.reject(new AnswerTooLargeError()))
  await waitFor(() => cache.find(key) === undefined)
  t.pass('one that has grown ends the one before it')

  const other = get('/v1/users/u2')
  t.match(await ask(cache, route, other, async () => answer('x'.repeat(1_001))), { source: 'load' })
  t.equal(cache.find(keyOf(route, other)!), undefined, 'also where the loader did not look')
  t.equal(await ask(cache, route, other, never), undefined)
})

t.test('headers that answers differ by', async (t) => {
  const { cache } = withClock()
  const route = open()
  const speaking = (language: string) => get('/v1/users/u1', { 'accept-language': language })
  const gate = heldBack()
  let french = 0
  const inFrench: LoadAnswer = async () => {
    french++
    return answer('salut', ['vary', 'accept-language'])
  }
  const german = all(10, () => ask(cache, route, speaking('de'), gate.load))
  await gate.wasAsked()
  // They join a load whose answer, as turns out later, is in another language.
  const others = all(10, () => ask(cache, route, speaking('fr'), inFrench))
  gate.resolve(answer('hallo', ['vary', 'accept-language']))
  t.strictSame(new Set((await german).map(bodyOf)), new Set(['hallo']))
  t.strictSame(new Set((await others).map(bodyOf)), new Set(['salut']))
  t.equal(french, 1)
  t.equal(gate.asked(), 1)

  await ask(cache, route, speaking('de'), async () => answer('hallo', ['vary', 'accept-language']))
  t.equal(bodyOf(cache.find(keyOf(route, speaking('de'))!)), 'hallo')
  t.equal(bodyOf(cache.find(keyOf(route, speaking('fr'))!)), 'salut')
  t.equal(cache.find(keyOf(route, speaking('it'))!), undefined)
})

t.test('ends by tag, and no load that began before outlives it', async (t) => {
  const { cache } = withClock()
  const route = open()
  const key = keyOf(route, PROFILE)!
  const other = get('/v1/users/u2')
  await ask(cache, route, other, async () => answer('other'))
  await ask(cache, route, PROFILE, async () => answer('v1'))
  await cache.end(['profile:u1', '*'])
  t.equal(cache.find(key), undefined)
  t.equal(bodyOf(cache.find(keyOf(route, other)!)), 'other', 'a tag that is called * is a tag')

  const gate = heldBack()
  const early = ask(cache, route, PROFILE, gate.load)
  await gate.wasAsked()
  await cache.endHere(['profile:u1'])
  t.equal(bodyOf(await ask(cache, route, PROFILE, async () => answer('v3'))), 'v3', 'does not join the old load')
  gate.resolve(answer('v2'))
  t.equal(bodyOf(await early), 'v2')
  t.equal(bodyOf(cache.find(key)), 'v3')
})

t.test('what events could have ended can be ended at once', async (t) => {
  const { cache } = withClock()
  const byEvent = routeWith({ ...POLICY, endedBy: { 'users.profile.updated': ['profile:{userId}'] } })
  const byTime = routeWith(POLICY, { path: '/v1/tags/:id' })
  const tag = get('/v1/tags/t1')
  await ask(cache, byEvent, PROFILE, async () => answer('v1'))
  await ask(cache, byTime, tag, async () => answer('t1'))
  await cache.endUnheard()
  t.equal(cache.find(keyOf(byEvent, PROFILE)!), undefined)
  t.equal(bodyOf(cache.find(keyOf(byTime, tag)!)), 't1')
})

t.test('memory is bounded, variants included', async (t) => {
  const { cache } = withClock({ maxBytes: 100_000, maxEntries: 1_000 })
  const route = open()
  for (let i = 0; i < 100; i++) await ask(cache, route, get(`/v1/users/${i}`), async () => answer('x'.repeat(900)))
  t.ok(cache.stats().bytes <= 100_000)
  const newest = cache.find('/v1/users/99')!.answer
  const { bytes } = cache.stats()
  const before = cache.stats().entries
  cache.addVariant(newest, 'br', Buffer.alloc(5_000))
  t.equal(cache.find('/v1/users/99')?.answer.variants.get('br')?.length, 5_000)
  t.ok(cache.stats().bytes <= 100_000 && cache.stats().bytes > bytes - 5_000)
  t.ok(cache.stats().entries < before, 'others make room')
})

t.test('loads end with the cache', async (t) => {
  const { cache } = withClock()
  let seen: AbortSignal | undefined
  const load: LoadAnswer = (signal) => {
    seen = signal
    return new Promise((_, reject) => signal.addEventListener('abort', () => reject(new Error('leaving'))))
  }
  const asked = ask(cache, open(), PROFILE, load)
  await waitFor(() => seen !== undefined)
  await cache.close()
  await t.rejects(asked, { message: 'leaving' })
})
