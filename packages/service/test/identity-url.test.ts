import { createHmac } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { waitFor } from '@skerry/testing'
import { exportJWK, exportSPKI, generateKeyPair, type JWK, SignJWT, UnsecuredJWT } from 'jose'
import t, { type Test } from 'tap'
import { openIdentityFromUrl } from '../src/index.ts'

const ISSUER = 'https://login.example'
const now = Math.floor(Date.now() / 1000)

/** An issuer that is not the house: a key, and tokens with the claims that OpenID providers give. */
async function createIssuer(kid: string, algorithm = 'EdDSA') {
  const { publicKey, privateKey } = await generateKeyPair(algorithm, { extractable: true })
  const key: JWK = { ...(await exportJWK(publicKey)), kid, use: 'sig' }
  const sign = (claims: object = {}, header: object = {}) =>
    new SignJWT({ iss: ISSUER, aud: 'shop', sub: 'u1', jti: 't1', iat: now, exp: now + 600, ...claims })
      .setProtectedHeader({ alg: algorithm, kid, ...header })
      .sign(privateKey)
  return { key, publicKey, sign }
}

/** A server of keys as its test sets it. */
async function startKeyServer(t: Test) {
  const state = {
    url: '',
    fetches: 0,
    keys: [] as JWK[],
    answer: (response: ServerResponse): unknown => response.end(JSON.stringify({ keys: state.keys }))
  }
  const server = createServer((_request, response) => {
    state.fetches++
    state.answer(response)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  state.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/jwks.json`
  return state
}

const open = async (t: Test, url: string, options: Partial<Parameters<typeof openIdentityFromUrl>[0]> = {}) => {
  const identity = await openIdentityFromUrl({ url, issuer: ISSUER, audience: 'shop', ...options })
  t.teardown(() => identity.close())
  return identity
}

t.test('tokens of another issuer name a user and a session', async (t) => {
  const server = await startKeyServer(t)
  const [ed, ec, rsa] = [
    await createIssuer('ed'),
    await createIssuer('ec', 'ES256'),
    await createIssuer('rsa', 'RS256')
  ]
  server.keys = [ed.key, ec.key, rsa.key]
  const identity = await open(t, server.url)
  t.ok(identity.ready())
  for (const issuer of [ed, ec, rsa]) {
    const token = await issuer.sign()
    const caller = await identity.verify(token)
    t.match(caller, { userId: 'u1', sessionId: 't1', expiresAt: now + 600, authenticatedAt: now })
    t.equal(identity.verifyCached(token), caller)
  }
  t.match(await identity.verify(await ed.sign({ jti: undefined })), { sessionId: 'u1' })
  t.match(
    await identity.verify(await ed.sign({ sid: 's1', preferred_username: 'ada', name: 'Ada L.', auth_time: now - 9 })),
    { sessionId: 's1', username: 'ada', displayName: 'Ada L.', authenticatedAt: now - 9 }
  )
  t.match(
    await identity.verify(await ed.sign({ sid: 's1', usr: 'ada', dnm: 'Ada', aat: now - 5 }, { typ: 'at+jwt' })),
    { username: 'ada', displayName: 'Ada', authenticatedAt: now - 5 },
    'the house’s own claims are read too'
  )
  const revoked = await ed.sign({ jti: 't2' })
  await identity.verify(revoked)
  identity.revoke('t2')
  t.equal(identity.verifyCached(revoked), undefined)
  t.equal(server.fetches, 1, 'all of it with one fetch')
})

t.test('every other token is refused', async (t) => {
  const server = await startKeyServer(t)
  const good = await createIssuer('ed')
  const rsa = await createIssuer('rsa', 'RS256')
  const stranger = await createIssuer('ed')
  const secret = {
    kty: 'oct',
    kid: 'oct',
    k: Buffer.from('a secret that a set should never show').toString('base64url')
  }
  server.keys = [good.key, rsa.key, secret]
  const identity = await open(t, server.url)
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const claims = { iss: ISSUER, aud: 'shop', sub: 'u1', exp: now + 600 }
  const [, payload, signature] = (await good.sign()).split('.') as [string, string, string]
  const hmac = (kid: string, key: string | Buffer) => {
    const input = `${part({ alg: 'HS256', kid })}.${part(claims)}`
    return `${input}.${createHmac('sha256', key).update(input).digest('base64url')}`
  }
  const bad: Record<string, string> = {
    'alg none': new UnsecuredJWT(claims).encode(),
    'alg none with a kid': `${part({ alg: 'none', kid: 'ed' })}.${payload}.`,
    'alg none with a signature': `${part({ alg: 'none', kid: 'ed' })}.${payload}.${signature}`,
    'HMAC with the public key': hmac('ed', Buffer.from(good.key.x!, 'base64url')),
    'HMAC with the public key as PEM': hmac('rsa', await exportSPKI(rsa.publicKey)),
    'HMAC with a secret from the set': hmac('oct', Buffer.from(secret.k, 'base64url')),
    'an algorithm nobody allowed': await (await createIssuer('rsa', 'PS256')).sign(),
    'the algorithm of another key': `${part({ alg: 'RS256', kid: 'ed' })}.${payload}.${signature}`,
    'another key, our kid': await stranger.sign(),
    'another issuer': await good.sign({ iss: 'https://elsewhere.example' }),
    'another audience': await good.sign({ aud: 'elsewhere' }),
    'no audience': await good.sign({ aud: undefined }),
    'no subject': await good.sign({ sub: undefined }),
    'an empty subject': await good.sign({ sub: '' }),
    'a subject without end': await good.sign({ sub: 'x'.repeat(256) }),
    'no expiry': await good.sign({ exp: undefined }),
    'not yet valid': await good.sign({ nbf: now + 600 }),
    'no token': 'x'
  }
  for (const [name, token] of Object.entries(bad)) {
    await t.rejects(identity.verify(token), { code: 'UNAUTHENTICATED', status: 401 }, name)
    t.equal(identity.verifyCached(token), undefined, name)
  }
  await t.rejects(identity.verify(await good.sign({ exp: now - 60 })), { code: 'TOKEN_EXPIRED' })
  t.ok(await identity.verify(await good.sign()))
})

t.test('a new key is known with the first token that names it; unknown ones cost one fetch in a while', async (t) => {
  const server = await startKeyServer(t)
  const [first, second, third] = [
    await createIssuer('first'),
    await createIssuer('second'),
    await createIssuer('third')
  ]
  server.keys = [first.key]
  const eager = await open(t, server.url, { unknownKeyMs: 0 })
  const old = await first.sign()
  await eager.verify(old)
  server.keys = [first.key, second.key]
  t.ok(await eager.verify(await second.sign()), 'both keys are good for a while')
  t.ok(await eager.verify(old))
  server.keys = [second.key]
  await t.rejects(eager.verify(await third.sign()), { code: 'UNAUTHENTICATED' })
  t.equal(eager.verifyCached(old), undefined, 'the old key is gone')
  await t.rejects(eager.verify(old), { code: 'UNAUTHENTICATED' })

  const patient = await open(t, server.url, { unknownKeyMs: 600_000 })
  const before = server.fetches
  server.keys = [third.key]
  const tokens = await Promise.all(Array.from({ length: 50 }, (_, i) => third.sign({}, { kid: `k${i}` })))
  await Promise.all(tokens.map((token) => t.rejects(patient.verify(token), { code: 'UNAUTHENTICATED' })))
  t.equal(server.fetches, before)
  t.ok(await patient.verify(await second.sign()))
})

t.test('many tokens with a new key at once are one fetch', async (t) => {
  const server = await startKeyServer(t)
  const [first, second] = [await createIssuer('first'), await createIssuer('second')]
  server.keys = [first.key]
  const identity = await open(t, server.url, { unknownKeyMs: 0 })
  const held: ServerResponse[] = []
  server.answer = (response) => held.push(response)
  const verified = Promise.all([1, 2, 3].map(async (n) => identity.verify(await second.sign({ jti: String(n) }))))
  await waitFor(() => held.length === 1)
  t.ok(await identity.verify(await first.sign()), 'known keys do not wait')
  held[0]!.end(JSON.stringify({ keys: [first.key, second.key] }))
  t.equal((await verified).length, 3)
  t.equal(server.fetches, 2)
})

t.test('while the URL fails the last good set holds, and a good one is taken again', async (t) => {
  const server = await startKeyServer(t)
  const [first, second] = [await createIssuer('first'), await createIssuer('second')]
  server.keys = [first.key]
  const identity = await open(t, server.url, { refreshMs: 20, timeoutMs: 500 })
  const faults: Array<(response: ServerResponse) => unknown> = [
    (response) => response.writeHead(500).end('broken'),
    (response) => response.end('<html>'),
    (response) => response.end('{"keys":[]}'),
    (response) => response.end('{"keys":[{"kty":"oct","kid":"x","k":"c2VjcmV0"}]}'),
    (response) => response.end('[1]'),
    (response) => response.writeHead(302, { location: '/elsewhere' }).end(),
    (response) => response.end(Buffer.alloc(300_000, ' ')),
    (response) => response.destroy(),
    (response) => response.writeHead(200).write('{')
  ]
  for (const [i, fault] of faults.entries()) {
    server.answer = fault
    const { fetches } = server
    await waitFor(() => server.fetches >= fetches + 2)
    t.ok(await identity.verify(await first.sign({ jti: `t${i}` })), String(fault))
  }
  server.keys = [second.key]
  server.answer = (response) => response.end(JSON.stringify({ keys: server.keys }))
  const token = await second.sign()
  await waitFor(() => identity.verify(token).then(Boolean, () => false))
})

t.test('not ready until a set is known', async (t) => {
  const server = await startKeyServer(t)
  const issuer = await createIssuer('ed')
  server.answer = (response) => response.writeHead(503).end()
  const identity = await open(t, server.url, { unknownKeyMs: 20 })
  t.notOk(identity.ready())
  await t.rejects(identity.verify(await issuer.sign()), { code: 'UNAVAILABLE' })
  server.keys = [issuer.key]
  server.answer = (response) => response.end(JSON.stringify({ keys: server.keys }))
  await waitFor(() => identity.ready())
  t.ok(await identity.verify(await issuer.sign()))
})

t.test('what cannot be trusted is refused with what to do', async (t) => {
  const options = { issuer: ISSUER, audience: 'shop' }
  await t.rejects(
    openIdentityFromUrl({ ...options, url: 'http://login.example/jwks' }),
    /give an https URL.*JWKS_INSECURE/
  )
  await t.rejects(openIdentityFromUrl({ ...options, url: 'file:///etc/passwd' }), /give an https URL/)
  for (const algorithms of [['HS256'], ['none'], ['EdDSA', 'HS512'], []])
    await t.rejects(
      openIdentityFromUrl({ ...options, url: 'https://login.example/jwks', algorithms }),
      /cannot sign tokens here: name some of EdDSA/
    )
})
