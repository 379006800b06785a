import Type, { type Static } from 'typebox'
import { Strict, StringLike } from '../common.ts'
import { EXAMPLE_IDS, EXAMPLE_TEXTS } from '../examples.ts'
import { defineRoute } from '../route.ts'

/** How many requests one batch may hold. */
export const BATCH_REQUESTS = 20

const HealthSchema = Type.Object(
  { status: StringLike('ok', { description: 'ok or unavailable' }) },
  { title: 'Health' }
)

/** One request of a batch, as it would have been sent by itself. */
export const BatchRequestSchema = Strict(
  {
    id: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 64,
        description: 'Returned with the response, to match it to its request.',
        examples: ['feed']
      })
    ),
    method: Type.Enum(['GET', 'POST', 'PUT', 'PATCH', 'DELETE'], { type: 'string' }),
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
        description: 'In addition to the headers of the batch, which apply to each of its requests.',
        examples: [{ 'if-none-match': '"2"' }]
      })
    ),
    body: Type.Optional(Type.Unknown({ description: 'JSON.', examples: [{ text: EXAMPLE_TEXTS.text }] }))
  },
  // Generators of clients name the parameters of `batch` BatchRequest.
  { title: 'BatchedRequest' }
)
export type BatchRequest = Static<typeof BatchRequestSchema>

/** The answer to one request of a batch. */
export const BatchAnswerSchema = Type.Object(
  {
    id: Type.Optional(StringLike('feed')),
    status: Type.Integer({ minimum: 100, maximum: 599, examples: [200] }),
    headers: Type.Record(Type.String(), Type.String(), { examples: [{ 'content-type': 'application/json' }] }),
    body: Type.Unknown({
      description: 'JSON; null if the response had no body.',
      examples: [{ items: [{ id: EXAMPLE_IDS.post, text: EXAMPLE_TEXTS.text }], nextCursor: null }]
    })
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
    summary: 'Run a batch',
    description:
      'Runs several requests in one round trip. They run concurrently. Each has its own status, and a failed request does not affect the others.',
    body: Strict(
      {
        requests: Type.Array(BatchRequestSchema, {
          minItems: 1,
          maxItems: BATCH_REQUESTS,
          examples: [
            [
              { id: 'me', method: 'GET', path: '/v1/users/me' },
              { id: 'feed', method: 'GET', path: '/v1/feed?limit=5' }
            ]
          ]
        })
      },
      { title: 'BatchBody' }
    ),
    response: { 200: Type.Object({ responses: Type.Array(BatchAnswerSchema) }, { title: 'BatchAnswers' }) },
    errors: ['BAD_REQUEST', 'BODY_TOO_LARGE', 'RATE_LIMITED']
  }),
  livez: defineRoute({
    method: 'GET',
    path: '/livez',
    tag: 'gateway',
    auth: 'none',
    summary: 'Check liveness',
    description: 'Responds while the gateway process runs.',
    response: { 200: HealthSchema },
    errors: []
  }),
  readyz: defineRoute({
    method: 'GET',
    path: '/readyz',
    tag: 'gateway',
    auth: 'none',
    summary: 'Check readiness',
    description: 'Responds with 200 while the gateway accepts requests.',
    response: { 200: HealthSchema, 503: HealthSchema },
    errors: []
  }),
  openApi: defineRoute({
    method: 'GET',
    path: '/openapi.json',
    tag: 'gateway',
    auth: 'none',
    summary: 'Get the OpenAPI document',
    description: 'Returns this document, which describes the routes of all live services.',
    response: {
      200: Type.Record(Type.String(), Type.Unknown(), {
        title: 'OpenApiDocument',
        examples: [{ openapi: '3.1.1', info: { title: 'Skerry API', version: 'v1' }, paths: {} }]
      })
    },
    errors: []
  }),
  asyncApi: defineRoute({
    method: 'GET',
    path: '/asyncapi.json',
    tag: 'gateway',
    auth: 'none',
    summary: 'Get the AsyncAPI document',
    description: 'Returns the events of all live services as an AsyncAPI 3 document. /docs/events shows it as a page.',
    response: {
      200: Type.Record(Type.String(), Type.Unknown(), {
        title: 'AsyncApiDocument',
        examples: [{ asyncapi: '3.0.0', info: { title: 'Skerry events', version: 'v1' }, channels: {} }]
      })
    },
    errors: []
  }),
  eventSchema: defineRoute({
    method: 'GET',
    path: '/schemas/events/:file',
    tag: 'gateway',
    auth: 'none',
    summary: 'Get an event schema',
    description:
      'Returns the JSON Schema of the data of an event, such as /schemas/events/content.post.created.v1.json.',
    params: Strict({
      file: Type.String({
        pattern: '^[a-z][a-z0-9.-]*\\.v[0-9]+\\.json$',
        examples: ['content.post.created.v1.json']
      })
    }),
    response: {
      200: Type.Record(Type.String(), Type.Unknown(), {
        title: 'EventSchema',
        examples: [{ title: 'content.post.created.v1', type: 'object' }]
      })
    },
    responseType: 'application/schema+json',
    errors: ['NOT_FOUND']
  })
}
