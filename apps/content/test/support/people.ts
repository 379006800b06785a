import { generateKeyPairSync, sign } from 'node:crypto'
import { createIdentityFromJwks } from '@skerry/service'
import { newId, randomBucket } from '@skerry/store'

export type Someone = { id: string; username: string; displayName: string; token: string }

const keys = generateKeyPairSync('ed25519')

/** The public half of what signs the tokens made here. */
export const jwks = {
  keys: [{ ...keys.publicKey.export({ format: 'jwk' }), kid: 'test', alg: 'EdDSA', use: 'sig' } as { kty: string }]
}
export const identity = createIdentityFromJwks(jwks)

let count = 0

/** A new user with a token; nothing else knows of them yet. */
export function somebody(name = `user${++count}`): Someone {
  const id = newId(randomBucket())
  const displayName = `${name} the ${count}th`
  return { id, username: name, displayName, token: tokenOf({ id, username: name, displayName }) }
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
