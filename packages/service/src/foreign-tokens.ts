import type { JWTPayload } from 'jose'
import type { Caller, TokenRules } from './identity.ts'

/** What may sign: asymmetric algorithms alone, so that a public key is never taken for a shared secret. */
export const SIGNATURE_ALGORITHMS = [
  'EdDSA',
  'ES256',
  'ES384',
  'ES512',
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512'
]
/** What issuers sign with unless they say otherwise. */
export const USUAL_ALGORITHMS = ['EdDSA', 'ES256', 'RS256']
/** Seconds by which the issuer's clock may differ from ours. */
const CLOCK_SECONDS = 5
/** What OpenID Connect allows a subject to have (Core 1.0, section 2). */
const LONGEST_SUBJECT = 255

/**
 * Rules for tokens of another issuer than the house: `sub` and `exp` must be there, the session is `sid`, else `jti`, else `sub`. The
 * house's own tokens fit as well. Throws for an algorithm that is not asymmetric.
 */
export function foreignTokens(options: {
  issuer: string
  audience: string
  algorithms?: readonly string[]
}): TokenRules {
  const algorithms = [...(options.algorithms ?? USUAL_ALGORITHMS)]
  const refused = algorithms.find((algorithm) => !SIGNATURE_ALGORITHMS.includes(algorithm))
  if (refused !== undefined || algorithms.length === 0)
    throw new Error(
      `${refused ?? 'no algorithm'} cannot sign tokens here: name some of ${SIGNATURE_ALGORITHMS.join(', ')}, whose keys can be public`
    )
  const { issuer, audience } = options
  return {
    options: { algorithms, issuer, audience, clockTolerance: CLOCK_SECONDS, requiredClaims: ['sub', 'exp'] },
    read: callerOf
  }
}

function callerOf(payload: JWTPayload): Caller | undefined {
  const { sub, exp, iat } = payload
  if (typeof sub !== 'string' || sub === '' || sub.length > LONGEST_SUBJECT || exp === undefined) return undefined
  const text = (name: string) => (typeof payload[name] === 'string' ? payload[name] : '')
  const second = (name: string) => (Number.isInteger(payload[name]) ? (payload[name] as number) : undefined)
  const username = text('usr') || text('preferred_username')
  return {
    userId: sub,
    sessionId: text('sid') || text('jti') || sub,
    username,
    displayName: text('dnm') || text('name') || username,
    authenticatedAt: second('aat') ?? second('auth_time') ?? iat ?? 0,
    expiresAt: exp
  }
}
