import { createHash, createPrivateKey, createPublicKey, hkdfSync, type KeyObject } from 'node:crypto'

/** What auth signs with, and what else is derived from the same secret. */
export type SigningKey = {
  readonly privateKey: KeyObject
  /** The thumbprint of the public key (RFC 7638, SHA-256). */
  readonly kid: string
  readonly jwks: { keys: Record<string, unknown>[] }
  /** A 256-bit secret for another purpose (HKDF-SHA-256), which tells nothing of the key or of another purpose. */
  derive(purpose: string): Buffer
}

/**
 * Reads the Ed25519 private key from a JWK in JSON. Throws one line that holds nothing of the secret.
 *
 * @param others a JSON array of public JWKs to publish beside it
 */
export function readSigningKey(text: string, others?: string): SigningKey {
  const jwk = parse(text, 'AUTH_SIGNING_KEY') as { kty?: unknown; crv?: unknown; d?: unknown } | null
  if (jwk?.kty !== 'OKP' || jwk.crv !== 'Ed25519' || typeof jwk.d !== 'string')
    throw new Error('Bad configuration: AUTH_SIGNING_KEY must be an Ed25519 private key as a JWK in JSON')
  const privateKey = importKey(() => createPrivateKey({ key: jwk as never, format: 'jwk' }), 'AUTH_SIGNING_KEY')
  const own = publicJwk(createPublicKey(privateKey))
  const secret = Buffer.from(jwk.d, 'base64url')
  const listed = others === undefined ? [] : parse(others, 'AUTH_VERIFY_KEYS')
  if (!Array.isArray(listed)) throw new Error('Bad configuration: AUTH_VERIFY_KEYS must be a JSON array of public JWKs')
  const published = [own, ...listed.map((key) => publicJwk(importPublic(key)))]
  return {
    privateKey,
    kid: own.kid,
    jwks: { keys: published.filter((key, i) => published.findIndex((k) => k.kid === key.kid) === i) },
    derive: (purpose) => Buffer.from(hkdfSync('sha256', secret, 'skerry', purpose, 32))
  }
}

function importPublic(jwk: unknown): KeyObject {
  return importKey(() => createPublicKey({ key: jwk as never, format: 'jwk' }), 'AUTH_VERIFY_KEYS')
}

function publicJwk(key: KeyObject) {
  const { crv, kty, x } = key.export({ format: 'jwk' })
  // RFC 7638: the required members in alphabetical order, without white space.
  const kid = createHash('sha256').update(JSON.stringify({ crv, kty, x })).digest('base64url')
  return { kty, crv, x, kid, use: 'sig', alg: 'EdDSA' }
}

function parse(text: string, name: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    throw new Error(`Bad configuration: ${name} is not JSON`, {
      cause: error instanceof SyntaxError ? undefined : error
    })
  }
}

function importKey(read: () => KeyObject, name: string): KeyObject {
  let key: KeyObject
  try {
    key = read()
  } catch {
    // The cause could quote the key.
    throw new Error(`Bad configuration: ${name} holds no usable key`)
  }
  if (key.asymmetricKeyType !== 'ed25519') throw new Error(`Bad configuration: ${name} holds a key that is not Ed25519`)
  return key
}
