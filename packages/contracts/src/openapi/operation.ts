import { IsOptional } from 'typebox'
import { ProblemSchema } from '../common.ts'
import { ERRORS, type ErrorCode, problem } from '../errors.ts'
import { EXAMPLE_TEXTS } from '../examples.ts'
import { isStreamed, jsonBodyOf, MERGE_PATCH_TYPE, type RouteContract } from '../route.ts'
import type { Components, Reference } from './components.ts'

type ResourceSchema = { properties?: Record<string, ResourceSchema>; items?: ResourceSchema }
type ObjectSchema = { properties?: Record<string, { description?: string }>; required?: readonly string[] }

const MEANING: Readonly<Record<number, string>> = {
  101: 'Switching protocols.',
  200: 'OK.',
  201: 'Created.',
  202: 'Accepted.',
  204: 'No content.',
  503: 'Service unavailable.'
}

/**
 * The errors that any route may answer with besides those of its own: what is asked for does not fit, the token is not good, there were
 * too many requests, the service is away. What can go wrong on our side besides is the `default` answer of every operation.
 */
export function houseErrors(contract: RouteContract): ErrorCode[] {
  const { auth, idempotent } = contract
  const codes: ErrorCode[] = ['BAD_REQUEST', 'RATE_LIMITED', 'UNAVAILABLE']
  if (auth !== 'none') codes.push('UNAUTHENTICATED', 'TOKEN_EXPIRED', 'SESSION_REVOKED')
  if (isStreamed(contract)) {
    if (contract.method !== 'GET') codes.push('BODY_TOO_LARGE', 'REQUEST_TIMEOUT')
  } else if (contract.body !== undefined) codes.push('BAD_JSON', 'BODY_TOO_LARGE', 'UNSUPPORTED_MEDIA_TYPE')
  if (idempotent === true) codes.push('IDEMPOTENCY_IN_FLIGHT', 'IDEMPOTENCY_MISMATCH')
  return codes
}

/** What holds for a route beside its contract. */
export type Habits = { readonly common: readonly ErrorCode[]; readonly tagged: boolean }

/** The Operation Object of a contract; what it names is kept in `components`. */
export function operationOf(
  operationId: string,
  contract: RouteContract,
  components: Components,
  habits: Habits
): object {
  const { summary, description, tag, priority, cache, limit, timeoutMs, ownerOnly } = contract
  const body = jsonBodyOf(contract)
  const parameters = parametersOf(contract, components, habits)
  return {
    operationId,
    summary,
    ...(description === undefined ? {} : { description }),
    tags: [tag],
    ...(parameters.length === 0 ? {} : { parameters }),
    ...(body === undefined
      ? {}
      : {
          requestBody: {
            required: !IsOptional(body),
            description: `${bodyWords(contract)} ${TEXT}`.trimStart(),
            content: bodyContentOf(contract, components.schema(body))
          }
        }),
    ...(isStreamed(contract) && contract.method !== 'GET' ? { requestBody: streamedBodyOf(contract) } : {}),
    responses: responsesOf(contract, components, habits),
    security: securityOf(contract, components),
    ...(ownerOnly === undefined ? {} : { 'x-skerry-owner-only': ownerOnly }),
    ...(priority === undefined ? {} : { 'x-skerry-priority': priority }),
    ...(limit === undefined ? {} : { 'x-skerry-limit': limit }),
    ...(timeoutMs === undefined ? {} : { 'x-skerry-timeout-ms': timeoutMs }),
    // What ends an answer in the cache is between the gateway and the services; how old one may be is the client's to know.
    ...(cache === undefined
      ? {}
      : {
          'x-skerry-cache': {
            scope: cache.scope,
            ttl: cache.ttl,
            staleWhileRevalidate: cache.staleWhileRevalidate ?? 0,
            staleIfError: cache.staleIfError ?? 0
          }
        })
  }
}

/** Which tokens it takes: those of the house, or of a service's own form. */
function securityOf({ auth, ownToken, tag }: RouteContract, components: Components): object[] {
  const need = ownToken ?? auth
  if (need === 'none') return []
  const name = ownToken === undefined ? 'bearer' : `${tag}Token`
  components.keep(
    'securitySchemes',
    name,
    ownToken === undefined
      ? { type: 'http', scheme: 'bearer', bearerFormat: 'JWT', description: 'The access token of a grant.' }
      : {
          type: 'apiKey',
          in: 'header',
          name: 'Authorization',
          description: '`Token`, a space, and the token that a sign-in returned.'
        }
  )
  return need === 'required' ? [{ [name]: [] }] : [{ [name]: [] }, {}]
}

const NULLS = `In \`application/json\` null and an empty list mean absent. In \`${MERGE_PATCH_TYPE}\` (RFC 7396) they clear a member.`

const ABSENT = 'A null where a member is optional means absent.'
const TEXT = 'Text is well-formed Unicode without U+0000.'

/** What null means in a body. */
function bodyWords({ method, keepsNull }: RouteContract): string {
  if (keepsNull === true) return ''
  return method === 'PATCH' ? NULLS : ABSENT
}

/** Bytes have no schema in OpenAPI 3.1; their media type is the client's to say. */
function streamedBodyOf({ bodyLimit }: RouteContract): object {
  const most = bodyLimit === undefined ? '' : `, ${bodyLimit} at most`
  return {
    description: `Bytes of any type${most}. They may come in chunks.`,
    content: { 'application/octet-stream': {} }
  }
}

function bodyContentOf({ method }: RouteContract, schema: unknown): Record<string, object> {
  // Generators of clients take the first.
  return { 'application/json': { schema }, ...(method === 'PATCH' ? { [MERGE_PATCH_TYPE]: { schema } } : {}) }
}

/** Whether answers of a service carry an ETag: a JSON resource of a GET, PATCH or PUT. */
export function isTagged({ method, response, stream }: RouteContract): boolean {
  return ['GET', 'PATCH', 'PUT'].includes(method) && stream !== true && Object.values(response).some((s) => s !== null)
}

function parametersOf(contract: RouteContract, components: Components, { tagged }: Habits): object[] {
  const { path, params, query, method, idempotent, errors, stream, response } = contract
  const inPath = (params ?? {}) as ObjectSchema
  const inQuery = (query ?? {}) as ObjectSchema
  const parameters: object[] = [...path.matchAll(/:(\w+)/g)].map(([, name = '']) => ({
    name,
    in: 'path',
    required: true,
    schema: components.schema(inPath.properties?.[name] ?? { type: 'string' })
  }))
  for (const [name, schema] of Object.entries(inQuery.properties ?? {})) {
    const required = inQuery.required?.includes(name) === true
    const own = name === 'fields' ? { ...schema, examples: [fieldsExample(response[200])] } : schema
    parameters.push({ name, in: 'query', ...(required ? { required } : {}), schema: components.schema(own) })
  }
  const header = (key: string, name: string, description: string, schema: object) =>
    parameters.push(components.keep('parameters', key, { name, in: 'header', description, schema }))
  if (idempotent === true) {
    header(
      'IdempotencyKey',
      'Idempotency-Key',
      'Makes retries safe: the first response is stored for 24 hours and replayed.',
      {
        type: 'string',
        pattern: '^[!-~]+$',
        minLength: 1,
        maxLength: 255,
        examples: ['5f0c2b7e-8d41-4a6b-9c3e-2f1d7a9b0c64']
      }
    )
  }
  if (method === 'GET' && tagged) {
    header('IfNoneMatch', 'If-None-Match', 'A known ETag: the response is 304 while the resource has not changed.', {
      type: 'string',
      examples: [EXAMPLE_TEXTS.etag]
    })
  }
  if (errors.includes('PRECONDITION_FAILED')) {
    header(
      'IfMatch',
      'If-Match',
      'The ETag that was read, or `*`: the response is 412 if the resource has changed since.',
      { type: 'string', pattern: IF_MATCH, examples: ['*'] }
    )
  }
  if (stream === true && response[200] !== undefined) {
    header('LastEventId', 'Last-Event-ID', 'The id of the last received message: the stream resumes after it.', {
      type: 'string',
      examples: [EXAMPLE_TEXTS.messageId]
    })
  }
  return parameters
}

/** `*`, or tags of which at least one has the version of a resource, as those of this house do. */
const IF_MATCH = '^\\*$|"[0-9]{1,15}([.][A-Za-z0-9_-]+)?"'

/** The first members of what is answered, of the items where it is a page: each route has others. */
function fieldsExample(schema: unknown): string {
  const { properties = {} } = (schema ?? {}) as ResourceSchema
  const members = properties.nextCursor === undefined ? properties : (properties.items?.items?.properties ?? {})
  return Object.keys(members).slice(0, 2).join(',')
}

function responsesOf(
  contract: RouteContract,
  components: Components,
  { common, tagged }: Habits
): Record<string, object> {
  const responses: Record<string, object> = {}
  for (const [status, schema] of Object.entries(contract.response)) {
    const headers = Number(status) < 300 ? headersOf(contract, components, tagged) : {}
    const content = contentOf(contract, Number(status), components.schema(schema))
    responses[status] = {
      description: MEANING[Number(status)] ?? 'OK.',
      ...(Object.keys(headers).length === 0 ? {} : { headers }),
      ...(content === undefined ? {} : { content })
    }
  }
  if (contract.method === 'GET' && tagged) {
    responses[304] = components.keep('responses', 'NotModified', {
      description: 'Not modified: the resource still has the ETag in If-None-Match.'
    })
  }
  const codes = new Set([...contract.errors, ...common])
  const known = (Object.keys(ERRORS) as ErrorCode[]).filter((code) => codes.has(code))
  for (const [status, group] of Object.entries(Object.groupBy(known, (code) => String(ERRORS[code].status)))) {
    responses[status] ??= failure(group ?? [], components)
  }
  responses.default = components.keep('responses', 'Failure', {
    description: 'Any other error.',
    content: { 'application/problem+json': { schema: components.schema(ProblemSchema) } }
  })
  return responses
}

function contentOf(contract: RouteContract, status: number, schema: unknown): object | undefined {
  if (schema !== null) return { [contract.responseType ?? 'application/json']: { schema } }
  if (isStreamed(contract) && contract.responseType !== undefined) return { [contract.responseType]: {} }
  if (contract.stream === true && status === 200)
    return { 'text/event-stream': { schema: { type: 'string', examples: [EXAMPLE_TEXTS.stream] } } }
  return undefined
}

function headersOf(contract: RouteContract, components: Components, tagged: boolean): Record<string, Reference> {
  const headers: Record<string, Reference> = {}
  if (tagged) {
    headers.ETag = components.keep('headers', 'ETag', {
      description: 'The version of the resource, for If-None-Match and If-Match.',
      schema: { type: 'string', examples: [EXAMPLE_TEXTS.etag] }
    })
  }
  if (contract.idempotent === true) {
    headers['Idempotency-Replayed'] = components.keep('headers', 'IdempotencyReplayed', {
      description: 'true: this is a replay of the first response.',
      schema: { type: 'string', enum: ['true'] }
    })
  }
  return headers
}

/** The answer of errors that share a status, one example for each code. */
function failure(codes: readonly ErrorCode[], components: Components): Reference {
  const status = ERRORS[codes[0]!].status
  const retry = () =>
    components.keep('headers', 'RetryAfter', {
      description: 'Seconds to wait before the next attempt.',
      schema: { type: 'integer', minimum: 1, examples: [2] }
    })
  return components.keep('responses', codes.join('.'), {
    description: codes.map((code) => `${code}: ${ERRORS[code].title}.`).join('\n\n'),
    ...(status === 429 || status === 503 ? { headers: { 'Retry-After': retry() } } : {}),
    content: {
      'application/problem+json': {
        schema: components.schema(ProblemSchema),
        examples: Object.fromEntries(codes.map((code) => [code, { value: problem(code) }]))
      }
    }
  })
}
