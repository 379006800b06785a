import { useStores, waitFor } from '@skerry/testing'
import t from 'tap'
import { connectNats, ensureBuckets, openIdentity, publishIdentity } from '../src/index.ts'
import { createTokens, USER } from './support/server.ts'

const stores = await useStores(t)

t.test('keys and revoked sessions arrive through NATS', async (t) => {
  const nc = await connectNats({ ...stores.nats, name: 'test' })
  t.teardown(() => nc.close())
  await ensureBuckets(nc)
  await ensureBuckets(nc)
  const tokens = await createTokens()
  const published = publishIdentity(nc)
  const identity = await openIdentity(nc)
  t.notOk(identity.ready(), 'token verification keys are not loaded yet')
  await t.rejects(identity.verify(await tokens.sign()), { code: 'UNAVAILABLE' })

  await published.setJwks(tokens.jwks)
  await waitFor(() => identity.ready())
  const token = await tokens.sign({ sid: 'session1' })
  t.match(await identity.verify(token), { userId: USER })
  t.ok(identity.verifyCached(token))

  await published.revoke('session1', tokens.now + 900)
  await waitFor(() => identity.verifyCached(token) === undefined)
  await t.rejects(identity.verify(token), { code: 'SESSION_REVOKED' })
  t.ok(await identity.verify(await tokens.sign({ sid: 'session2' })))

  const later = await openIdentity(nc)
  t.ok(later.ready(), 'who comes later knows as much')
  await t.rejects(later.verify(token), { code: 'SESSION_REVOKED' })
  await t.rejects(published.revoke('a.b', tokens.now), /not a session id/)

  identity.revoke('session2')
  await t.rejects(
    identity.verify(await tokens.sign({ sid: 'session2' })),
    { code: 'SESSION_REVOKED' },
    'at once in this process'
  )
  await identity.close()
  await later.close()
})
