import { generateKeyPairSync, hash, randomUUID, sign } from 'node:crypto'

export type Claims = { sub?: string; sid?: string; exp?: number; iss?: string; aud?: string }

const ID = /^[0-7][0-9a-hjkmnp-tv-z]{25}$/

/** The id of a user of this name; what is neither id nor name stays what it is. */
export function idOf(name: string): string {
  return ID.test(name) || !/^[\w-]+$/.test(name)
    ? name
    : `0${BigInt(`0x${hash('sha256', name).slice(0, 31)}`)
        .toString(32)
        .padStart(25, '0')
        .replace(/[ilou]/g, (letter) => TAKES_PLACE[letter]!)}`
}
const TAKES_PLACE: Readonly<Record<string, string>> = { i: 'w', l: 'x', o: 'y', u: 'z' }

/** Issues access tokens as auth does, with a key of its own; `sub` may be any name, of which an id is made. */
export function createIssuer(kid = 'test-key') {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519')
  const now = () => Math.floor(Date.now() / 1_000)

  function token(claims: Claims = {}, header: object = {}): string {
    const payload = {
      iss: 'skerry',
      aud: 'skerry',
      sid: randomUUID(),
      usr: 'ada',
      dnm: 'Ada',
      aat: now(),
      iat: now(),
      exp: now() + 600,
      ...claims,
      sub: idOf(claims.sub ?? randomUUID())
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
