import { createLogger, managerOf, openIdentity, publishIdentity } from '@skerry/service'
import { waitFor } from '@skerry/testing'
import t from 'tap'
import { readSigningKey } from '../src/domain/signing-key.ts'
import { keepIdentity } from '../src/keep-identity.ts'
import { createTellRevoked } from '../src/revocations.ts'
import { newSigningKey, startAuth } from './support/system.ts'

const auth = await startAuth(t, { instances: 2 })
const { call, nc, signingKey } = auth
const log = createLogger({ service: 'auth', instance: 'test', level: 'silent' })

t.test('what holds only the bucket refuses a session that has ended', async (t) => {
  const gateway = await openIdentity(nc)
  t.teardown(() => gateway.close())
  const me = await auth.signUp()
  t.equal((await gateway.verify(me.accessToken)).userId, me.user.id)
  t.equal((await call('POST', '/v1/auth/logout', { token: me.accessToken })).status, 204)
  await waitFor(async () => {
    const error = await gateway.verify(me.accessToken).catch((e) => e)
    return error.code === 'SESSION_REVOKED'
  })
  t.equal(gateway.verifyCached(me.accessToken), undefined)
})

t.test('a bucket that was lost is filled again: keys and ended sessions', async (t) => {
  const me = await auth.signUp()
  const kept = await auth.signUp()
  await call('POST', '/v1/auth/logout', { token: me.accessToken })
  const { streams } = await managerOf(nc)
  await streams.delete('KV_identity')
  const keeper = await keepIdentity({
    nc,
    store: auth.store,
    jwks: signingKey.jwks,
    accessTtlMs: 600_000,
    log,
    everyMs: 20
  })
  t.teardown(() => keeper.close())
  const gateway = await openIdentity(nc)
  t.teardown(() => gateway.close())
  t.ok(gateway.ready())
  await waitFor(async () => {
    const error = await gateway.verify(me.accessToken).catch((e) => e)
    return error.code === 'SESSION_REVOKED'
  })
  t.equal((await gateway.verify(kept.accessToken)).userId, kept.user.id)

  // Lost once more, while the connection holds: the keys come back by themselves.
  await streams.delete('KV_identity')
  await waitFor(async () => (await streams.info('KV_identity').catch(() => undefined))?.state.messages)
})

t.test('an answer does not wait for a bucket that does not answer', async (t) => {
  const revoked: string[] = []
  const asked: string[] = []
  const hanging = (id: string) => {
    asked.push(id)
    return new Promise<void>(() => undefined)
  }
  const tell = createTellRevoked({
    identity: { ...auth.instances[0]!.identity, revoke: (id) => revoked.push(id) },
    publisher: { ...publishIdentity(nc), revoke: hanging },
    accessTtlMs: 1,
    log
  })
  let answered = false
  const telling = tell(['a', 'b']).then(() => {
    answered = true
  })
  t.same(
    [revoked, asked],
    [
      ['a', 'b'],
      ['a', 'b']
    ],
    'this instance and the bucket are told at once'
  )
  await new Promise(setImmediate)
  t.notOk(answered, 'the bucket has a moment')
  await waitFor(() => answered, { message: 'it is not waited for' })
  await telling

  const warnings: unknown[] = []
  const failing = createTellRevoked({
    identity: auth.instances[0]!.identity,
    publisher: { ...publishIdentity(nc), revoke: () => Promise.reject(new Error('NATS is away')) },
    accessTtlMs: 1,
    log: { ...log, warn: (details: unknown) => void warnings.push(details) } as typeof log
  })
  await failing(['a'])
  t.match(warnings, [{ err: { message: 'NATS is away' } }])
})

t.test('keys are read with care', async (t) => {
  const other = readSigningKey(newSigningKey())
  const key = readSigningKey(newSigningKey(), JSON.stringify(other.jwks.keys))
  t.equal(key.jwks.keys.length, 2)
  t.same(key.jwks.keys[1], other.jwks.keys[0])
  t.not(key.derive('a').toString('hex'), key.derive('b').toString('hex'))
  t.not(key.derive('a').toString('hex'), other.derive('a').toString('hex'))
  const secret = 'c2VjcmV0'
  for (const bad of ['', 'x', 'null', '[]', '{}', `{"kty":"OKP","crv":"Ed25519","d":"${secret}"}`, '{"kty":"RSA"}']) {
    try {
      readSigningKey(bad)
      t.fail(bad)
    } catch (error) {
      t.match((error as Error).message, /^Bad configuration: AUTH_SIGNING_KEY [^\n]*$/)
      t.notMatch((error as Error).message, secret)
    }
  }
  for (const bad of ['{}', '[1]', 'x']) t.throws(() => readSigningKey(newSigningKey(), bad), /AUTH_VERIFY_KEYS/)
})
