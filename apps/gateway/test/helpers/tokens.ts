import { generateKeyPairSync, randomUUID, sign } from 'node:crypto'

export type Claims = { sub?: string; sid?: string; exp?: number; iss?: string; aud?: string }

/** Issues access tokens as auth does, with a key of its own. */
export function createIssuer(kid = 'test-key') {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519')
  const now = () => Math.floor(Date.now() / 1_000)

  function token(claims: Claims = {}, header: object = {}): string {
    const payload = {
      iss: 'skerry',
      aud: 'skerry',
      sub: randomUUID(),
      sid: randomUUID(),
      usr: 'ada',
      dnm: 'Ada',
      aat: now(),
      iat: now(),
      exp: now() + 600,
      ...claims
    }
    const signed = `${encode({ alg: 'EdDSA', typ: 'at+jwt', kid, ...header })}.${encode(payload)}`
    return `${signed}.${sign(null, Buffer.from(signed), privateKey).toString('base64url')}`
  }
  return {
    jwks: { keys: [{ ...publicKey.export({ format: 'jwk' }), kid, alg: 'EdDSA', use: 'sig' }] },
    token,
    bearer: (claims?: Claims) => ({ authorization: `Bearer ${token(claims)}` })
  }
}

function encode(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url')
}
