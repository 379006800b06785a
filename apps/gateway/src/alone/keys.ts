import type { IdentityUrlOptions } from '@skerry/service'
import type { GatewayConfig } from '../config.ts'

/** Whose tokens are taken, and where their keys are; undefined where nobody's are. */
export function keysOf(config: GatewayConfig): IdentityUrlOptions | undefined {
  if (config.JWKS_URL === undefined) return undefined
  return {
    url: config.JWKS_URL,
    issuer: config.JWT_ISSUER,
    audience: config.JWT_AUDIENCE,
    algorithms: config.JWT_ALGORITHMS.split(',').map((name) => name.trim()),
    insecure: config.JWKS_INSECURE,
    cacheSize: config.TOKEN_CACHE
  }
}
