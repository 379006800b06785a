import { IdSchema, SkerryError } from '@skerry/contracts'
import { createLocalJWKSet, errors, type JSONWebKeySet, type JWTPayload, type JWTVerifyOptions, jwtVerify } from 'jose'
import { LRUCache } from 'lru-cache'
import Type, { type Static } from 'typebox'
import { Compile } from 'typebox/compile'

/** Who asks, as their access token says. Times are in epoch seconds. */
export type Caller = {
  readonly userId: string
  readonly sessionId: string
  readonly username: string
  readonly displayName: string
  /** When they last proved who they are: signed in rather than refreshed. */
  readonly authenticatedAt: number
  readonly expiresAt: number
}

/** Claims of an access token; its header is `{ alg: 'EdDSA', typ: 'at+jwt', kid }`. */
export const AccessClaimsSchema = Type.Object({
  iss: Type.Literal('skerry'),
  aud: Type.Literal('skerry'),
  // Services look for it in their stores, where what is no id would be a fault of theirs.
  sub: IdSchema,
  sid: Type.String({ minLength: 1 }),
  usr: Type.String(),
  dnm: Type.String(),
  aat: Type.Integer(),
  iat: Type.Integer(),
  exp: Type.Integer(),
  jti: Type.Optional(Type.String())
})
export type AccessClaims = Static<typeof AccessClaimsSchema>
export const TOKEN_ISSUER = 'skerry'
export const TOKEN_AUDIENCE = 'skerry'

/** Verifies access tokens. */
export interface Identity {
  /**
   * Throws SkerryError UNAUTHENTICATED, TOKEN_EXPIRED or SESSION_REVOKED; UNAVAILABLE while no keys are known. With `endedToo` a token whose
   * session has ended still tells who asks.
   */
  verify(token: string, endedToo?: boolean): Promise<Caller>
  /** The caller of a token that was verified before and still holds; no promise, no cryptography. */
  verifyCached(token: string): Caller | undefined
  /** Refuses the tokens of a session from now on, in this process. */
  revoke(sessionId: string): void
  /** Whether the keys are known. */
  ready(): boolean
  close(): Promise<void>
}

/** Which tokens a verifier takes. */
export type TokenRules = {
  /** What is verified; its list of algorithms is what refuses `none` and keys used for another algorithm than theirs. */
  readonly options: JWTVerifyOptions & { algorithms: string[] }
  /** Who the claims of a verified token name; undefined when they do not fit. */
  read(payload: JWTPayload): Caller | undefined
}

const claims = Compile(AccessClaimsSchema)
/** The house's own tokens. */
const HOUSE: TokenRules = {
  options: { algorithms: ['EdDSA'], issuer: TOKEN_ISSUER, audience: TOKEN_AUDIENCE, typ: 'at+jwt' },
  read: (payload) =>
    claims.Check(payload)
      ? {
          userId: payload.sub,
          sessionId: payload.sid,
          username: payload.usr,
          displayName: payload.dnm,
          authenticatedAt: payload.aat,
          expiresAt: payload.exp
        }
      : undefined
}
const LONGEST_TOKEN = 4096
/** How long a revoked session is remembered when nothing says longer: no access token lives that long. */
const REVOKED_FOR = 24 * 3600

/** The verifier without where its keys come from; `openIdentity` feeds one from NATS, `openIdentityFromUrl` from a URL. */
export class TokenVerifier implements Identity {
  private keys: ReturnType<typeof createLocalJWKSet> | undefined
  private readonly verified: LRUCache<string, Caller>
  /** Session id to the second until which its tokens could be valid. */
  private readonly revoked = new Map<string, number>()
  private readonly rules: TokenRules
  private sweepAt = 1024

  constructor(options: { cacheSize?: number | undefined; rules?: TokenRules } = {}) {
    this.rules = options.rules ?? HOUSE
    this.verified = new LRUCache({ max: options.cacheSize ?? 10_000 })
  }

  /** Takes new keys; what was verified with the old ones is verified again. Throws for what is not a JWK set. */
  setKeys(jwks: JSONWebKeySet): void {
    this.keys = createLocalJWKSet(jwks)
    this.verified.clear()
  }

  verifyCached(token: string): Caller | undefined {
    const caller = this.verified.get(token)
    if (caller === undefined || caller.expiresAt <= now() || this.revoked.has(caller.sessionId)) return undefined
    return caller
  }

  async verify(token: string, endedToo = false): Promise<Caller> {
    const cached = this.verifyCached(token)
    if (cached !== undefined) return cached
    if (this.keys === undefined)
      throw new SkerryError('UNAVAILABLE', { detail: 'The token verification keys are not loaded yet.', retryAfter: 1 })
    if (token.length > LONGEST_TOKEN) throw invalid()
    const keys = this.keys
    const caller = this.rules.read(await verifySignature(token, keys, this.rules.options))
    if (caller === undefined) throw invalid()
    if (this.revoked.has(caller.sessionId)) {
      if (endedToo) return caller
      throw new SkerryError('SESSION_REVOKED')
    }
    if (keys === this.keys) this.verified.set(token, caller)
    return caller
  }

  revoke(sessionId: string, until = now() + REVOKED_FOR): void {
    this.revoked.set(sessionId, until)
    if (this.revoked.size >= this.sweepAt) this.sweep()
  }

  /** How many are remembered. */
  get revokedSessions(): number {
    return this.revoked.size
  }

  ready(): boolean {
    return this.keys !== undefined
  }

  async close(): Promise<void> {
    this.verified.clear()
  }

  /** Forgets sessions whose tokens have all expired, each time their number has doubled. */
  private sweep(): void {
    const second = now()
    for (const [sessionId, until] of this.revoked) if (until < second) this.revoked.delete(sessionId)
    this.sweepAt = Math.max(1024, this.revoked.size * 2)
  }
}

/** An identity with fixed keys and no NATS: for tests and for setups whose keys come from a file. */
export function createIdentityFromJwks(jwks: JSONWebKeySet): Identity {
  const verifier = new TokenVerifier()
  verifier.setKeys(jwks)
  return verifier
}

async function verifySignature(
  token: string,
  keys: ReturnType<typeof createLocalJWKSet>,
  options: JWTVerifyOptions
): Promise<JWTPayload> {
  try {
    return (await jwtVerify(token, keys, options)).payload
  } catch (error) {
    if (error instanceof errors.JWTExpired) throw new SkerryError('TOKEN_EXPIRED', { headers: challenge, cause: error })
    throw invalid(error)
  }
}

/** Whether a token was refused because none of the known keys is the one it names. */
export function namesUnknownKey(error: unknown): boolean {
  return error instanceof SkerryError && error.cause instanceof errors.JWKSNoMatchingKey
}

const challenge = { 'www-authenticate': 'Bearer error="invalid_token"' }

function invalid(cause?: unknown): SkerryError {
  return new SkerryError('UNAUTHENTICATED', { headers: challenge, cause })
}

function now(): number {
  return Math.floor(Date.now() / 1000)
}
