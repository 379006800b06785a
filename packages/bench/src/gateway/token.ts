import { generateKeyPairSync, sign } from 'node:crypto'

const HOUR = 3_600

/** `jwks`: public keys as a JWK set; `token`: an access token of one user that they verify. */
export type Signer = { readonly jwks: { readonly keys: object[] }; readonly token: string }

/** Makes a key pair, Ed25519, and signs a token that is good for an hour. */
export function makeSigner(): Signer {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519')
  const now = Math.floor(Date.now() / 1_000)
  const user = { sub: '01h00000000000000000000001', sid: 's', usr: 'ada', dnm: 'Ada' }
  const claims = { iss: 'skerry', aud: 'skerry', ...user, aat: now, iat: now, exp: now + HOUR }
  const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const signed = `${encode({ alg: 'EdDSA', typ: 'at+jwt', kid: 'bench' })}.${encode(claims)}`
  return {
    jwks: { keys: [{ ...publicKey.export({ format: 'jwk' }), kid: 'bench', alg: 'EdDSA', use: 'sig' }] },
    token: `${signed}.${sign(null, Buffer.from(signed), privateKey).toString('base64url')}`
  }
}
