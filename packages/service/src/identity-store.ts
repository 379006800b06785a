import { Kvm } from '@nats-io/kv'
import type { JSONWebKeySet } from 'jose'
import { type Identity, TokenVerifier } from './identity.ts'
import { watchBucket } from './kv-watch.ts'
import type { Logger } from './log.ts'
import { jetstreamOf, type NatsConnection } from './nats.ts'

const REVOKED = 'revoked.'

/**
 * An identity whose keys and revoked sessions come from the `identity` bucket, watched: a session that ends anywhere is refused here some
 * milliseconds later without a read per request. While NATS is away it goes on with what it knows. Resolves when the bucket was read
 * once; `ready()` tells whether keys were in it.
 */
export async function openIdentity(
  nc: NatsConnection,
  options: { log?: Logger; cacheSize?: number } = {}
): Promise<Identity> {
  const verifier = new TokenVerifier(options)
  const { log } = options
  let current = ''
  const watch = await watchBucket(nc, {
    bucket: 'identity',
    log,
    onBegin: () => undefined,
    onComplete: () => undefined,
    onEntry: (entry) => {
      // What expires here are revocations whose tokens have expired before.
      if (entry.operation !== 'PUT') return
      try {
        if (entry.key === 'jwks') {
          const text = entry.string()
          if (text === current) return
          verifier.setKeys(JSON.parse(text) as JSONWebKeySet)
          current = text
        } else if (entry.key.startsWith(REVOKED)) {
          verifier.revoke(entry.key.slice(REVOKED.length), entry.json<{ until: number }>().until)
        }
      } catch (error) {
        log?.error({ err: error, key: entry.key }, 'invalid entry in the identity bucket')
      }
    }
  })
  return {
    verify: (token, endedToo) => verifier.verify(token, endedToo),
    verifyCached: (token) => verifier.verifyCached(token),
    revoke: (sessionId) => verifier.revoke(sessionId),
    ready: () => verifier.ready(),
    async close() {
      await watch.close()
      await verifier.close()
    }
  }
}

/** Writes what `openIdentity` reads; only the auth service may. */
export function publishIdentity(nc: NatsConnection): {
  /** Replaces the public keys. */
  setJwks(jwks: JSONWebKeySet): Promise<void>
  /** Refuses a session's tokens everywhere, until the last of them has expired (epoch seconds). Resolves once NATS has it on disk. */
  revoke(sessionId: string, untilSeconds: number): Promise<void>
} {
  const js = jetstreamOf(nc)
  return {
    async setJwks(jwks) {
      const kv = await new Kvm(js).open('identity')
      await kv.put('jwks', JSON.stringify(jwks))
    },
    async revoke(sessionId, untilSeconds) {
      if (!/^[\w-]{1,64}$/.test(sessionId)) throw new Error('not a session id')
      const seconds = Math.max(1, Math.ceil(untilSeconds - Date.now() / 1000) + 60)
      const value = JSON.stringify({ until: untilSeconds })
      await js.publish(`$KV.identity.${REVOKED}${sessionId}`, value, { ttl: `${seconds}s` })
    }
  }
}
