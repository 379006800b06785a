import { generateKeyPairSync, sign } from 'node:crypto'
import { createIdentityFromJwks } from '@skerry/service'
import { newId, randomBucket } from '@skerry/store'

export type Someone = { id: string; username: string; displayName: string; token: string }

const keys = generateKeyPairSync('ed25519')
export const jwks = {
  keys: [{ ...keys.publicKey.export({ format: 'jwk' }), kid: 'test', alg: 'EdDSA' } as { kty: string }]
}
export const identity = createIdentityFromJwks(jwks)

let count = 0

/** A new account with a token; users knows nothing of it yet. */
export function somebody(username = `user${++count}`, id = newId(randomBucket())): Someone {
  const displayName = `${username} Somebody`
  return { id, username, displayName, token: tokenOf({ id, username, displayName }) }
}

/** An access token as auth makes it. */
export function tokenOf(person: Omit<Someone, 'token'>, claims: object = {}, header: object = {}): string {
  const now = Math.floor(Date.now() / 1000)
  const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const head = encode({ alg: 'EdDSA', typ: 'at+jwt', kid: 'test', ...header })
  const body = encode({
    iss: 'skerry',
    aud: 'skerry',
    sub: person.id,
    sid: newId(0),
    usr: person.username,
    dnm: person.displayName,
    aat: now,
    iat: now,
    exp: now + 600,
    ...claims
  })
  return `${head}.${body}.${sign(null, Buffer.from(`${head}.${body}`), keys.privateKey).toString('base64url')}`
}
