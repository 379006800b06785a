import { createHmac, generateKeyPairSync } from 'node:crypto'
import { SignJWT, UnsecuredJWT } from 'jose'
import t from 'tap'
import { TokenVerifier } from '../src/identity.ts'
import { createIdentityFromJwks, route } from '../src/index.ts'
import { createServer, createTokens, USER, widget, widgetRoutes } from './support/server.ts'

const tokens = await createTokens()
const { now } = tokens
const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')

t.test('a good token gives the caller, the second time without cryptography', async (t) => {
  const { identity } = await createTokens()
  const verifier = new TokenVerifier()
  verifier.setKeys(tokens.jwks)
  const token = await tokens.sign()
  t.equal(verifier.verifyCached(token), undefined)
  const caller = await verifier.verify(token)
  t.same(caller, {
    userId: USER,
    sessionId: 's1',
    username: 'ada',
    displayName: 'Ada',
    authenticatedAt: now,
    expiresAt: now + 900
  })
  t.equal(verifier.verifyCached(token), caller)
  await t.rejects(identity.verify(token), { code: 'UNAUTHENTICATED' }, 'but not where other keys are trusted')
})

t.test('every other token is refused', async (t) => {
  const { identity } = tokens
  const good = await tokens.sign()
  const [header, payload, signature] = good.split('.') as [string, string, string]
  const claims = JSON.parse(Buffer.from(payload, 'base64url').toString()) as Record<string, unknown>
  const x = Buffer.from((tokens.jwks.keys[0] as { x: string }).x, 'base64url')
  const hmacInput = `${part({ alg: 'HS256', typ: 'at+jwt', kid: 'test' })}.${payload}`
  const stranger = generateKeyPairSync('ed25519').privateKey
  const bad: Record<string, string> = {
    'alg none': new UnsecuredJWT(claims).encode(),
    'alg none with our header': `${part({ alg: 'none', typ: 'at+jwt', kid: 'test' })}.${payload}.`,
    'alg none with the signature': `${part({ alg: 'none', typ: 'at+jwt', kid: 'test' })}.${payload}.${signature}`,
    'HMAC with the public key': `${hmacInput}.${createHmac('sha256', x).update(hmacInput).digest('base64url')}`,
    'another key, our kid': await new SignJWT(claims)
      .setProtectedHeader({ alg: 'EdDSA', typ: 'at+jwt', kid: 'test' })
      .sign(stranger),
    'unknown kid': await tokens.sign({}, { kid: 'other' }),
    'changed claims': `${header}.${part({ ...claims, sub: 'u2' })}.${signature}`,
    'cut signature': good.slice(0, -2),
    'another issuer': await tokens.sign({ iss: 'elsewhere' }),
    'another audience': await tokens.sign({ aud: 'elsewhere' }),
    'another type': await tokens.sign({}, { typ: 'JWT' }),
    'no session': await tokens.sign({ sid: undefined }),
    'an odd subject': await tokens.sign({ sub: '' }),
    'a subject that is no id': await tokens.sign({ sub: 'ada' }),
    'a subject with more behind the id': await tokens.sign({ sub: `${USER}\n` }),
    'no expiry': await tokens.sign({ exp: undefined }),
    'not yet valid': await tokens.sign({ nbf: now + 600 }),
    empty: '',
    'no token': 'x',
    dots: '..',
    long: 'x'.repeat(10_000)
  }
  for (const [name, token] of Object.entries(bad)) {
    await t.rejects(identity.verify(token), { code: 'UNAUTHENTICATED', status: 401 }, name)
    t.equal(identity.verifyCached(token), undefined, name)
  }
  await t.rejects(identity.verify(await tokens.sign({ exp: now - 1 })), { code: 'TOKEN_EXPIRED' })
})

t.test('over HTTP: 401 with a challenge, before the body is read', async (t) => {
  const { app } = createServer(t, { identity: tokens.identity })
  route(app, widgetRoutes.update, async () => widget)
  const send = (authorization?: string) =>
    app.inject({
      method: 'PATCH',
      url: '/v1/widgets/w1',
      payload: '{broken',
      headers: { 'content-type': 'application/json', ...(authorization === undefined ? {} : { authorization }) }
    })
  const cases: Array<[string | undefined, string, RegExp]> = [
    [undefined, 'UNAUTHENTICATED', /^Bearer$/],
    [`Bearer ${new UnsecuredJWT({ sub: 'u1' }).encode()}`, 'UNAUTHENTICATED', /invalid_token/],
    [`Bearer ${await tokens.sign({ exp: now - 1 })}`, 'TOKEN_EXPIRED', /invalid_token/],
    ['Basic YWRhOnB3', 'UNAUTHENTICATED', /^Bearer$/]
  ]
  for (const [authorization, code, challenge] of cases) {
    const answer = await send(authorization)
    t.equal(answer.statusCode, 401)
    t.match(answer.json(), { code, status: 401 })
    t.match(answer.headers['www-authenticate'], challenge)
    t.equal(answer.headers['cache-control'], 'no-store')
  }
  t.equal((await send(`Bearer ${await tokens.sign()}`)).statusCode, 400, 'with a good one the body is looked at')
})

t.test('a revoked session is refused at once, cached or not; others are not', async (t) => {
  const verifier = new TokenVerifier()
  verifier.setKeys(tokens.jwks)
  const [a, b] = [await tokens.sign({ sid: 'sa' }), await tokens.sign({ sid: 'sb' })]
  await verifier.verify(a)
  verifier.revoke('sa')
  t.equal(verifier.verifyCached(a), undefined)
  await t.rejects(verifier.verify(a), { code: 'SESSION_REVOKED' })
  t.match(await verifier.verify(a, true), { sessionId: 'sa' }, 'but where ended sessions are taken, it tells who asks')
  const expired = await tokens.sign({ sid: 'sa', exp: now - 1 })
  await t.rejects(verifier.verify(expired, true), { code: 'TOKEN_EXPIRED' })
  await t.rejects(verifier.verify(a), { code: 'SESSION_REVOKED' }, 'and nowhere else')
  t.ok(await verifier.verify(b))
})

t.test('what is remembered is bounded', async (t) => {
  const verifier = new TokenVerifier({ cacheSize: 2 })
  verifier.setKeys(tokens.jwks)
  const many = await Promise.all([1, 2, 3].map((i) => tokens.sign({ jti: String(i) })))
  for (const token of many) await verifier.verify(token)
  t.equal(many.filter((token) => verifier.verifyCached(token) !== undefined).length, 2)
  for (let i = 0; i < 5000; i++) verifier.revoke(`old${i}`, now - 1)
  t.ok(verifier.revokedSessions < 1100, 'sessions whose tokens have expired are forgotten')
})

t.test('an expired token leaves the cache', async (t) => {
  const verifier = new TokenVerifier()
  verifier.setKeys(tokens.jwks)
  const exp = Math.floor(Date.now() / 1000) + 3_600
  const token = await tokens.sign({ exp })
  await verifier.verify(token)
  t.intercept(Date, 'now', { value: () => exp * 1000 - 1 })
  t.ok(verifier.verifyCached(token))
  t.intercept(Date, 'now', { value: () => exp * 1000 })
  t.equal(verifier.verifyCached(token), undefined)
  await t.rejects(verifier.verify(await tokens.sign({ exp: 1_000 })), { code: 'TOKEN_EXPIRED' })
})

t.test('new keys are taken over, tokens of withdrawn ones end', async (t) => {
  const next = await createTokens()
  const verifier = new TokenVerifier()
  await t.rejects(verifier.verify('x'), { code: 'UNAVAILABLE' }, 'no keys yet is not the caller’s fault')
  t.notOk(verifier.ready())
  verifier.setKeys(tokens.jwks)
  const old = await tokens.sign()
  await verifier.verify(old)
  verifier.setKeys({ keys: [{ ...next.jwks.keys[0]!, kid: 'next' }] })
  t.equal(verifier.verifyCached(old), undefined)
  await t.rejects(verifier.verify(old), { code: 'UNAUTHENTICATED' })
  t.ok(await verifier.verify(await next.sign({}, { kid: 'next' })))
  t.throws(() => createIdentityFromJwks({ keys: 'none' } as never))
})

t.test('a token of which anything was changed is refused, whatever it was', async (t) => {
  const { identity } = tokens
  const good = await tokens.sign()
  const sameBytes = (token: string) => {
    const bytes = (text: string) => text.split('.').map((part) => Buffer.from(part, 'base64url').toString('hex'))
    return bytes(token).join() === bytes(good).join() && token.split('.').length === 3
  }
  const mutants = new Set<string>()
  for (let at = 0; at <= good.length; at++) {
    const [before, after] = [good.slice(0, at), good.slice(at)]
    mutants.add(before + after.slice(1))
    for (const put of ['A', '.', '=', '~', '\0', 'é']) {
      mutants.add(before + put + after)
      mutants.add(before + put + after.slice(1))
    }
    if (at > 0) mutants.add(after + before)
  }
  mutants.delete(good)
  const accepted: string[] = []
  const codes = new Set<string>()
  for (const mutant of mutants) {
    await identity.verify(mutant).then(
      () => accepted.push(mutant),
      ({ code }) => codes.add(code)
    )
  }
  t.ok(mutants.size > 4_000)
  t.same(
    accepted.filter((token) => !sameBytes(token)),
    [],
    'but for spellings of the same bytes'
  )
  t.same(codes, new Set(['UNAUTHENTICATED']))
})
