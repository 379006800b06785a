import Type, { type Static } from 'typebox'
import { Strict } from '../common.ts'
import { defineRoute } from '../route.ts'

/** How many requests one batch may hold. */
export const BATCH_REQUESTS = 20

const HealthSchema = Type.Object({ status: Type.String({ description: 'ok or unavailable' }) }, { title: 'Health' })

/** One request of a batch, as it would have been sent by itself. */
export const BatchRequestSchema = Strict(
  {
    id: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 64,
        description: 'Comes back with the answer, to tell which it belongs to.'
      })
    ),
    method: Type.Enum(['GET', 'POST', 'PUT', 'PATCH', 'DELETE']),
    path: Type.String({
      maxLength: 8192,
      pattern: '^/[\\x21-\\x7e]*$',
      description: 'Path and query: `/v1/feed?limit=5`.',
      examples: ['/v1/feed?limit=5']
    }),
    headers: Type.Optional(
      Type.Record(Type.String({ pattern: '^[A-Za-z0-9-]{1,64}$' }), Type.String({ maxLength: 4096 }), {
        additionalProperties: false,
        maxProperties: 32,
        description: 'Beside those of the batch, which hold for each of its requests.'
      })
    ),
    body: Type.Optional(Type.Unknown({ description: 'JSON.' }))
  },
  { title: 'BatchRequest' }
)
export type BatchRequest = Static<typeof BatchRequestSchema>

/** The answer to one request of a batch. */
export const BatchAnswerSchema = Type.Object(
  {
    id: Type.Optional(Type.String()),
    status: Type.Integer({ minimum: 100, maximum: 599 }),
    headers: Type.Record(Type.String(), Type.String()),
    body: Type.Unknown({ description: 'JSON; null where the answer had no body.' })
  },
  { title: 'BatchAnswer' }
)
export type BatchAnswer = Static<typeof BatchAnswerSchema>

/** What the gateway answers itself. */
export const gatewayRoutes = {
  batch: defineRoute({
    method: 'POST',
    path: '/v1/batch',
    tag: 'gateway',
    auth: 'optional',
    summary:
      'Several requests in one round trip. They run side by side; each has its own status, and none of them fails the others.',
    body: Strict({ requests: Type.Array(BatchRequestSchema, { minItems: 1, maxItems: BATCH_REQUESTS }) }),
    response: { 200: Type.Object({ responses: Type.Array(BatchAnswerSchema) }) },
    errors: ['BAD_REQUEST', 'BODY_TOO_LARGE', 'RATE_LIMITED']
  }),
  livez: defineRoute({
    method: 'GET',
    path: '/livez',
    tag: 'gateway',
    auth: 'none',
    summary: 'The gateway runs.',
    response: { 200: HealthSchema },
    errors: []
  }),
  readyz: defineRoute({
    method: 'GET',
    path: '/readyz',
    tag: 'gateway',
    auth: 'none',
    summary: 'The gateway takes requests.',
    response: { 200: HealthSchema, 503: HealthSchema },
    errors: []
  }),
  openApi: defineRoute({
    method: 'GET',
    path: '/openapi.json',
    tag: 'gateway',
    auth: 'none',
    summary: 'This document: the routes of all services that are there.',
    response: { 200: Type.Record(Type.String(), Type.Unknown()) },
    errors: []
  }),
  asyncApi: defineRoute({
    method: 'GET',
    path: '/asyncapi.json',
    tag: 'gateway',
    auth: 'none',
    summary: 'The events of all services that are there, as an AsyncAPI 3 document. /docs/events shows it as a page.',
    response: { 200: Type.Record(Type.String(), Type.Unknown()) },
    errors: []
  }),
  eventSchema: defineRoute({
    method: 'GET',
    path: '/schemas/events/:file',
    tag: 'gateway',
    auth: 'none',
    summary: 'The JSON Schema of the data of an event: /schemas/events/content.post.created.v1.json.',
    params: Strict({
      file: Type.String({
        pattern: '^[a-z][a-z0-9.-]*\\.v[0-9]+\\.json$',
        examples: ['content.post.created.v1.json']
      })
    }),
    response: { 200: Type.Record(Type.String(), Type.Unknown()) },
    errors: ['NOT_FOUND']
  })
}
