import t from 'tap'
import { answerCodec, judgeAnswer, type LoadedAnswer, type StoredAnswer } from '../../src/cache/answer.ts'
import type { CachedRoute } from '../../src/cache/cached-route.ts'
import { answer, get, routeWith } from '../helpers/cache.ts'

const open = () => routeWith({ scope: 'public', ttl: 60 })
const guarded = () => routeWith({ scope: 'public', ttl: 60 }, { auth: 'required' })
const byUser = () => routeWith({ scope: 'private', ttl: 60 })

function judge(route: CachedRoute, loaded: LoadedAnswer, headers = {}): StoredAnswer {
  return judgeAnswer(loaded, route, '/a', get('/a', headers, undefined), 1_000)
}
function judgePrivate(loaded: LoadedAnswer): StoredAnswer {
  return judgeAnswer(loaded, byUser(), '2 u1 /a', get('/a', {}, 'u1'), 1_000)
}

t.test('for whom an answer is', async (t) => {
  const cases: [LoadedAnswer, ofAll: StoredAnswer['use'], ofUser: StoredAnswer['use']][] = [
    [answer('{}'), 'keep', 'keep'],
    ...[203, 204, 301, 308, 404, 410].map((s) => [answer('', [], s), 'keep', 'keep'] as (typeof cases)[number]),
    ...[302, 400, 406, 409, 451, 206, 304, 401, 403, 412, 429].map(
      (s) => [answer('', [], s), 'caller', 'caller'] as (typeof cases)[number]
    ),
    ...[500, 502, 503, 504].map((s) => [answer('', [], s), 'share', 'share'] as (typeof cases)[number]),
    [answer('{}', ['set-cookie', 'a=1']), 'caller', 'caller'],
    [answer('', ['set-cookie', 'a=1'], 503), 'caller', 'caller'],
    [answer('{}', ['vary', '*']), 'caller', 'caller'],
    [answer('{}', ['content-encoding', 'gzip']), 'caller', 'caller'],
    [answer('{}', ['cache-control', 'no-store']), 'caller', 'caller'],
    [answer('{}', ['cache-control', 'max-age=5', 'cache-control', 'NO-STORE']), 'caller', 'caller'],
    [answer('{}', ['cache-control', 'no-store'], 503), 'share', 'share'],
    [answer('{}', ['cache-control', 'no-store'], 404), 'caller', 'caller'],
    [answer('{}', ['cache-control', 'private, no-cache']), 'caller', 'keep'],
    [answer('{}', ['cache-control', 'private="x-a, x-b", max-age=9']), 'caller', 'keep'],
    [answer('{}', ['cache-control', 'no-cache']), 'keep', 'keep'],
    [answer('{}', ['cache-control', 'public, s-maxage=0']), 'share', 'keep'],
    [answer('{}', ['cache-control', 'public, s-maxage=9', 'age', '9']), 'share', 'keep'],
    [answer('x'.repeat(1_001)), 'share', 'caller']
  ]
  for (const [loaded, ofAll, ofUser] of cases) {
    const what = `${loaded.status} ${loaded.headers.slice(2).join(': ')} ${loaded.body.length}`
    t.equal(judge(open(), loaded).use, ofAll, `public: ${what}`)
    t.equal(judgePrivate(loaded).use, ofUser, `private: ${what}`)
  }
})

t.test('how long it is fresh', async (t) => {
  const ttl = (...headers: string[]) => judge(open(), answer('{}', headers)).ttlMs
  t.equal(ttl(), 60_000)
  t.equal(ttl('cache-control', 'max-age=1'), 60_000, 'the policy outranks what is said to clients')
  t.equal(ttl('cache-control', 'public, s-maxage=20', 'age', '5'), 15_000)
  t.equal(ttl('cache-control', 's-maxage=600'), 60_000)
  t.equal(judge(open(), answer('{}', ['age', '5'])).cameAgedSeconds, 5)
})

t.test('what of it is kept', async (t) => {
  const ofService = [
    ...['etag', '"1.a"', 'cache-control', 'public, no-cache', 'vary', 'Authorization', 'x-a', '1', 'x-a', '2'],
    ...['x-request-id', 'r', 'server-timing', 't', 'ratelimit', 'l', 'ratelimit-policy', 'p', 'date', 'd'],
    ...['connection', 'x-hop', 'x-hop', '1', 'keep-alive', '5', 'transfer-encoding', 'chunked', 'content-length', '2'],
    ...['access-control-allow-origin', '*', 'x-skerry-revoked', 's1', 'age', '0', 'last-modified', 'm']
  ]
  const kept = judge(guarded(), answer('{}', ofService))
  t.strictSame(kept.headers, ['content-type', 'application/json', 'x-a', '1', 'x-a', '2', 'last-modified', 'm'])
  t.match(kept, { use: 'keep', etag: '"1.a"', vary: 'accept-encoding, authorization', ttlMs: 60_000 })
  t.equal(judge(open(), answer('{}')).vary, 'accept-encoding')
  t.equal(judge(open(), answer('{}')).etag, judge(open(), answer('{}')).etag, 'one without an ETag gets one')
  t.not(judge(open(), answer('{}')).etag, judge(open(), answer('[]')).etag)

  const mine = judge(open(), answer('{}', ['set-cookie', 'a=1', 'set-cookie', 'b=2', 'cache-control', 'no-store']))
  t.strictSame(mine.headers.slice(2), ['set-cookie', 'a=1', 'set-cookie', 'b=2', 'cache-control', 'no-store'])
})

t.test('what it differs by is learned', async (t) => {
  const route = open()
  const first = judge(route, answer('{}', ['vary', 'Accept-Language, Accept-Encoding']), { 'accept-language': 'de' })
  t.match(first, { use: 'share', key: '/a\naccept-language=de', vary: 'accept-encoding, accept-language' })
  t.strictSame(route.vary, ['accept-language'])
})

t.test('a body does not hold on to the buffer it was read into', async (t) => {
  const chunk = Buffer.allocUnsafeSlow(65_536)
  const body = chunk.subarray(10, 20)
  const kept = judge(open(), { status: 200, headers: [], body })
  t.strictSame(kept.body, body)
  t.ok(kept.body.buffer.byteLength < 100)
})

t.test('through Redis and back', async (t) => {
  const body = Buffer.from(Array.from({ length: 256 }, (_, i) => i))
  const kept = judge(guarded(), { status: 200, headers: ['x-a', 'ä\n"'], body })
  kept.variants.set('br', Buffer.alloc(5))
  const back = answerCodec.decode(Buffer.from(answerCodec.encode(kept))) as StoredAnswer
  t.strictSame(back, { ...kept, variants: new Map() }, 'variants are each gateway’s own')
  t.throws(() => answerCodec.decode(Buffer.from('{"status":200}\nx')), { message: /format/ })
  t.throws(() => answerCodec.decode(Buffer.from('garbage')))
})

t.test('its size counts all that it holds', async (t) => {
  const kept = judge(open(), answer('x'.repeat(500)))
  const before = answerCodec.sizeOf(kept)
  t.ok(before > 2_500 && before < 3_000)
  kept.variants.set('gzip', Buffer.alloc(300))
  t.equal(answerCodec.sizeOf(kept), before + 300)
})
