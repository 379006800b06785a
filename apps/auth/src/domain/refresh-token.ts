import { createHash, createHmac } from 'node:crypto'

/**
 * A refresh token: `<session id>.<64 characters>`, the base64url form of 16 bytes that stay with the session (its family) and 32 that change
 * with every rotation. Only hashes of both are stored. The family tells a token that this session once had from a guess: only the first may
 * end the session.
 */
export type RefreshToken = { text: string; sessionId: string; hash: string; familyHash: string }

const SHAPE = /^([0-7][0-9a-hjkmnp-tv-z]{25})\.([\w-]{64})$/
const FAMILY_BYTES = 16
const SECRET_BYTES = 32

/** Reads what a client sent; undefined when it has not the shape of a refresh token. */
export function readRefreshToken(text: string): RefreshToken | undefined {
  const match = SHAPE.exec(text)
  if (match === null) return undefined
  return tokenOf(match[1]!, Buffer.from(match[2]!, 'base64url'))
}

/** The first token of a session, which can be made again from the seed that the session keeps, and from the secret that it does not. */
export function firstRefreshToken(sessionId: string, seed: string, secret: Buffer): RefreshToken {
  const bytes = createHmac('sha512', secret).update(`first ${sessionId} ${seed}`).digest()
  return tokenOf(sessionId, bytes.subarray(0, FAMILY_BYTES + SECRET_BYTES))
}

/**
 * The token that follows another one. It is derived rather than drawn, so that everybody who sends the same old token gets the same new one:
 * requests that race, and a phone that lost the answer, end up with a token that holds, without any token being stored.
 */
export function nextRefreshToken(token: RefreshToken, secret: Buffer): RefreshToken {
  const bytes = Buffer.from(token.text.slice(token.sessionId.length + 1), 'base64url')
  const next = createHmac('sha256', secret).update(token.text).digest()
  return tokenOf(token.sessionId, Buffer.concat([bytes.subarray(0, FAMILY_BYTES), next]))
}

/** Rotations that are followed: far more than a session has in a day. */
const STEPS = 2_000

/** The newest token of a session, by one of its earlier ones; undefined when it is not made with this secret. */
export function newestOf(token: RefreshToken, newestHash: string, secret: Buffer): RefreshToken | undefined {
  let found = token
  for (let step = 0; found.hash !== newestHash; step++) {
    if (step === STEPS) return undefined
    found = nextRefreshToken(found, secret)
  }
  return found
}

function tokenOf(sessionId: string, bytes: Buffer): RefreshToken {
  const text = `${sessionId}.${bytes.toString('base64url')}`
  return { text, sessionId, hash: sha256(text), familyHash: sha256(bytes.subarray(0, FAMILY_BYTES)) }
}

function sha256(data: string | Buffer): string {
  return createHash('sha256').update(data).digest('base64url')
}
