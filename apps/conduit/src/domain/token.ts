import {
  createCipheriv,
  createDecipheriv,
  createHash,
  createHmac,
  hkdfSync,
  randomBytes,
  timingSafeEqual
} from 'node:crypto'
import { isId } from '@skerry/store'

const IV_BYTES = 12
const TAG_BYTES = 16
const LONGEST = 1024

/** What a session acts with; at rest only as `seal` makes it. */
export type Secrets = { accessToken: string; refreshToken: string; email: string }

/**
 * A token for a front end: a JWT (RFC 7519) that says who, which session and until when. Its signing key is thrown away: only its hash is
 * kept to know it again, and the key that seals a session's secrets is made of it (`seal`).
 *
 * @param options `now` in milliseconds, `ttlS` in seconds
 */
export function newToken(options: { userId: string; sessionId: string; now: number; ttlS: number }): string {
  const iat = Math.floor(options.now / 1000)
  const { userId: sub, sessionId: sid } = options
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const signed = `${part({ alg: 'HS256', typ: 'JWT' })}.${part({ sub, sid, iat, exp: iat + options.ttlS })}`
  return `${signed}.${createHmac('sha256', randomBytes(32)).update(signed).digest('base64url')}`
}

/** The session that a token says it belongs to; undefined when it has not the shape of one. Nothing is proved by that. */
export function sessionIdOf(token: string): string | undefined {
  const payload = token.split('.')[1]
  if (payload === undefined || token.length > LONGEST) return undefined
  try {
    const { sid } = JSON.parse(Buffer.from(payload, 'base64url').toString()) as { sid?: unknown }
    return typeof sid === 'string' && isId(sid) ? sid : undefined
  } catch (error) {
    if (!(error instanceof SyntaxError) && !(error instanceof TypeError)) throw error
    return undefined
  }
}

export function hashOf(token: string): string {
  return createHash('sha256').update(token).digest('base64url')
}

/** Compares in constant time. */
export function isToken(token: string, hash: string): boolean {
  return timingSafeEqual(Buffer.from(hashOf(token)), Buffer.from(hash))
}

/** Encrypts a session's secrets (AES-256-GCM, bound to the session) with a key that is made of its token (HKDF, RFC 5869). */
export function seal(token: string, sessionId: string, secrets: Secrets): string {
  const iv = randomBytes(IV_BYTES)
  const cipher = createCipheriv('aes-256-gcm', keyOf(token, sessionId), iv).setAAD(Buffer.from(sessionId))
  const sealed = Buffer.concat([cipher.update(JSON.stringify(secrets), 'utf8'), cipher.final()])
  return Buffer.concat([iv, cipher.getAuthTag(), sealed]).toString('base64url')
}

export function open(token: string, sessionId: string, text: string): Secrets {
  const bytes = Buffer.from(text, 'base64url')
  const decipher = createDecipheriv('aes-256-gcm', keyOf(token, sessionId), bytes.subarray(0, IV_BYTES), {
    authTagLength: TAG_BYTES
  })
  decipher.setAAD(Buffer.from(sessionId)).setAuthTag(bytes.subarray(IV_BYTES, IV_BYTES + TAG_BYTES))
  const plain = Buffer.concat([decipher.update(bytes.subarray(IV_BYTES + TAG_BYTES)), decipher.final()])
  return JSON.parse(plain.toString('utf8')) as Secrets
}

function keyOf(token: string, sessionId: string): Buffer {
  return Buffer.from(hkdfSync('sha256', token, sessionId, 'skerry conduit session', 32))
}
