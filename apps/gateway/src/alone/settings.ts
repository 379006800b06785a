import Type from 'typebox'

/** What a gateway alone reads besides: the fixed list, and keys by URL in place of the house's own. */
export const aloneSettings = {
  /** `/feed=http://a:1,http://b:2;/other=…`; with it or ROUTES_FILE the gateway knows no NATS. */
  ROUTES: Type.Optional(Type.String()),
  /** The same in a file, a line each, read again when it changes. */
  ROUTES_FILE: Type.Optional(Type.String()),
  /** Rules of routes: a JSON array of RouteRules. */
  RULES_FILE: Type.Optional(Type.String()),
  /** Who may come in where no rule names a path: `required` needs a token, `optional` looks at one, `none` ignores it. */
  DEFAULT_AUTH: Type.Enum(['required', 'optional', 'none'], { default: 'optional' }),
  /** How often files are read and names resolved again. */
  DNS_REFRESH_MS: Type.Integer({ minimum: 100, maximum: 3_600_000, default: 5_000 }),
  /** The issuer's JWK set; without it tokens are passed on and nobody is known. */
  JWKS_URL: Type.Optional(Type.String({ pattern: '^https?://' })),
  /** Takes JWKS_URL by http from another machine. */
  JWKS_INSECURE: Type.Boolean({ default: false }),
  JWT_ISSUER: Type.String({ minLength: 1, default: 'skerry' }),
  JWT_AUDIENCE: Type.String({ minLength: 1, default: 'skerry' }),
  /** Comma-separated; asymmetric ones only. */
  JWT_ALGORITHMS: Type.String({ default: 'EdDSA,ES256,RS256' })
}
