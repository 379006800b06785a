import { defineRoute, FieldsSchema, type RouteContract, Strict } from '@skerry/contracts'
import { exportJWK, generateKeyPair, type JWTPayload, SignJWT } from 'jose'
import type { Test } from 'tap'
import Type from 'typebox'
import {
  buildServer,
  createIdentityFromJwks,
  createLogger,
  createMetrics,
  type IdempotencyStore,
  type Identity,
  parseConfig,
  type ServiceConfig,
  ServiceConfigSchema
} from '../../src/index.ts'

/** The user of a token unless a test says otherwise. */
export const USER = '01h00000000000000000000001'

export const env = { NATS_URL: 'nats://127.0.0.1:4222', NATS_USER: 'widgets', NATS_PASSWORD: 'secret' }

export const WidgetSchema = Type.Object({
  id: Type.String(),
  name: Type.String(),
  owner: Type.Object({ id: Type.String(), username: Type.String() }),
  note: Type.Union([Type.String(), Type.Null()]),
  tags: Type.Array(Type.String()),
  version: Type.Integer()
})

const idParams = Strict({ id: Type.String({ pattern: '^[a-z0-9]{1,20}$' }) })
const widgetBody = Strict({
  name: Type.String({ minLength: 1, maxLength: 20 }),
  note: Type.Optional(Type.Union([Type.String({ maxLength: 10 }), Type.Null()])),
  tags: Type.Optional(Type.Array(Type.String({ pattern: '^[a-z]+$' }), { maxItems: 3, uniqueItems: true })),
  size: Type.Optional(Type.Integer({ minimum: 1, maximum: 10 }))
})
const base = { tag: 'widgets', summary: 'For tests.', errors: [] } as const

export const widgetRoutes = {
  get: defineRoute({
    ...base,
    method: 'GET',
    path: '/v1/widgets/:id',
    auth: 'required',
    params: idParams,
    query: Strict({ fields: Type.Optional(FieldsSchema) }),
    response: { 200: WidgetSchema }
  }),
  list: defineRoute({
    ...base,
    method: 'GET',
    path: '/v1/widgets',
    auth: 'none',
    query: Strict({
      limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 100, default: 20 })),
      big: Type.Optional(Type.Boolean()),
      q: Type.Optional(Type.String({ maxLength: 10 })),
      fields: Type.Optional(FieldsSchema)
    }),
    response: {
      200: Type.Object({ items: Type.Array(WidgetSchema), nextCursor: Type.Union([Type.String(), Type.Null()]) })
    }
  }),
  create: defineRoute({
    ...base,
    method: 'POST',
    path: '/v1/widgets',
    auth: 'optional',
    idempotent: true,
    body: widgetBody,
    response: { 201: WidgetSchema }
  }),
  update: defineRoute({
    ...base,
    method: 'PATCH',
    path: '/v1/widgets/:id',
    auth: 'required',
    params: idParams,
    body: Strict({ name: Type.Optional(Type.String({ minLength: 1 })) }, { minProperties: 1 }),
    response: { 200: WidgetSchema }
  }),
  remove: defineRoute({
    ...base,
    method: 'DELETE',
    path: '/v1/widgets/:id',
    auth: 'required',
    params: idParams,
    response: { 204: null }
  })
} satisfies Record<string, RouteContract>

export const widget = {
  id: 'w1',
  name: 'A widget',
  owner: { id: 'u1', username: 'ada' },
  note: null as string | null,
  tags: ['a', 'b'],
  version: 3
}

/** A key pair of its own, the identity that trusts it, and a way to sign tokens with it. */
export async function createTokens() {
  const { publicKey, privateKey } = await generateKeyPair('EdDSA', { extractable: true })
  const jwk = { ...(await exportJWK(publicKey)), kid: 'test', alg: 'EdDSA' }
  const now = Math.floor(Date.now() / 1000)
  const sign = (claims: JWTPayload = {}, header: Record<string, string> = {}) =>
    new SignJWT({
      iss: 'skerry',
      aud: 'skerry',
      sub: USER,
      sid: 's1',
      usr: 'ada',
      dnm: 'Ada',
      aat: now,
      iat: now,
      exp: now + 900,
      ...claims
    })
      .setProtectedHeader({ alg: 'EdDSA', typ: 'at+jwt', kid: 'test', ...header })
      .sign(privateKey)
  return { jwks: { keys: [jwk] }, identity: createIdentityFromJwks({ keys: [jwk] }), sign, privateKey, publicKey, now }
}

export type Tokens = Awaited<ReturnType<typeof createTokens>>

/** A server with a log that can be read, closed when the test ends. */
export function createServer(
  t: Test,
  options: { identity?: Identity; idempotency?: IdempotencyStore; config?: Record<string, string> } = {}
) {
  const config: ServiceConfig = parseConfig(ServiceConfigSchema, {
    ...env,
    CHECK_RESPONSES: 'true',
    LOG_LEVEL: 'debug',
    ...options.config
  })
  const lines: Array<Record<string, unknown>> = []
  const logger = createLogger(
    { service: 'widgets', instance: '1', level: config.LOG_LEVEL },
    { write: (line: string) => lines.push(JSON.parse(line) as Record<string, unknown>) }
  )
  const metrics = createMetrics({ service: 'widgets', instance: '1', processMetrics: false })
  const app = buildServer({
    name: 'widgets',
    config,
    metrics,
    logger,
    identity: options.identity,
    idempotency: options.idempotency
  })
  t.teardown(() => app.close())
  return { app, lines, metrics, config }
}
