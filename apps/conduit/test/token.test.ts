import { createHash } from 'node:crypto'
import { newId } from '@skerry/store'
import t from 'tap'
import { slugOf, slugsFor } from '../src/domain/slug.ts'
import { hashOf, isToken, newToken, open, seal, sessionIdOf } from '../src/domain/token.ts'

const who = { userId: newId(1), sessionId: newId(1), now: Date.UTC(2026, 0, 31), ttlS: 3600 }
const secrets = { accessToken: 'access', refreshToken: 'refresh', email: 'ada@example.com' }

t.test('a token says who and until when, and is known again by its hash alone', async (t) => {
  const token = newToken(who)
  const [header, payload] = token.split('.').map((part) => Buffer.from(part, 'base64url').toString())
  t.same(JSON.parse(header!), { alg: 'HS256', typ: 'JWT' })
  const iat = who.now / 1000
  t.same(JSON.parse(payload!), { sub: who.userId, sid: who.sessionId, iat, exp: iat + 3600 })
  t.equal(sessionIdOf(token), who.sessionId)
  t.not(newToken(who), token, 'nobody can make it again')
  t.equal(hashOf(token), createHash('sha256').update(token).digest('base64url'))
  t.ok(isToken(token, hashOf(token)))
  t.notOk(isToken(newToken(who), hashOf(token)))
  t.notOk(isToken(`${token}x`, hashOf(token)))
})

t.test('what has not the shape of a token belongs to no session', async (t) => {
  const payload = (value: string) => `a.${Buffer.from(value).toString('base64url')}.c`
  for (const text of [
    '',
    'a',
    'a.b',
    'a.b.c',
    payload('null'),
    payload('{}'),
    payload('{"sid":1}'),
    payload('{"sid":"x"}')
  ])
    t.equal(sessionIdOf(text), undefined, text)
  t.equal(sessionIdOf(payload(`{"sid":"${who.sessionId}","x":"${'x'.repeat(2000)}"}`)), undefined, 'too long')
})

t.test('secrets open with the token and for the session that they were sealed with', async (t) => {
  const token = newToken(who)
  const sealed = seal(token, who.sessionId, secrets)
  t.same(open(token, who.sessionId, sealed), secrets)
  const bytes = Buffer.from(sealed, 'base64url')
  for (const word of ['access', 'refresh', 'ada']) t.notOk(bytes.includes(word))
  t.not(seal(token, who.sessionId, secrets), sealed)
  const unsealed = /unable to authenticate data/
  t.throws(() => open(newToken(who), who.sessionId, sealed), unsealed)
  t.throws(() => open(token, newId(1), sealed), unsealed)
  bytes[20]! ^= 1
  t.throws(() => open(token, who.sessionId, bytes.toString('base64url')), unsealed)
})

t.test('slugs', async (t) => {
  for (const [title, slug] of [
    ['How to train your dragon!', 'how-to-train-your-dragon'],
    ['  Crème brûlée — 2 ways  ', 'creme-brulee-2-ways'],
    ['日本語', 'article'],
    ['x'.repeat(200), 'x'.repeat(80)],
    [`${'word '.repeat(16)}end`, 'word-'.repeat(16).slice(0, -1)]
  ] as const)
    t.equal(slugOf(title), slug)
  const postId = newId(1)
  t.same(slugsFor('Dragons', postId), ['dragons', `dragons-${postId.slice(-6)}`, `dragons-${postId}`])
  t.same(slugsFor('Feed', postId), [`feed-${postId.slice(-6)}`, `feed-${postId}`], 'a route is no slug')
})
