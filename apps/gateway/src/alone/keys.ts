import type { IdentityUrlOptions } from '@skerry/service'
import type { GatewayConfig } from '../config.ts'

/** Whose tokens are taken, and where their keys are; undefined where nobody's are. Throws a line where tokens are needed all the same. */
export function keysOf(config: GatewayConfig): IdentityUrlOptions | undefined {
  if (config.JWKS_URL === undefined) {
    if (config.DEFAULT_AUTH === 'required')
      throw new Error(
        'DEFAULT_AUTH is "required", but there are no keys to verify tokens with: give JWKS_URL (--jwks), or leave it out'
      )
    return undefined
  }
  return {
    url: config.JWKS_URL,
    issuer: config.JWT_ISSUER,
    audience: config.JWT_AUDIENCE,
    algorithms: config.JWT_ALGORITHMS.split(',').map((name) => name.trim()),
    insecure: config.JWKS_INSECURE,
    cacheSize: config.TOKEN_CACHE
  }
}
