import { exampleOf } from '@skerry/contracts/compat'

/** Who asks, as an access matrix has them. */
export const CALLERS = [
  'no token',
  'a broken token',
  'an expired token',
  "somebody else's token",
  "the owner's token"
] as const
export type Caller = (typeof CALLERS)[number]

/** What a caller is to get: success, or the status of the refusal. */
export type Expected = 'success' | 401 | 403 | 404

/** An operation of an OpenAPI document. */
export type Operation = {
  readonly id: string
  readonly method: string
  /** With parameters in braces. */
  readonly path: string
  /** The scheme of its token; none where it takes none. */
  readonly scheme: 'bearer' | 'conduitToken' | undefined
  readonly optional: boolean
  /** What others than the owner of what the path names get. */
  readonly ownerOnly: 403 | 404 | undefined
  /** Statuses that are no error. */
  readonly successes: readonly number[]
  /** A body that its schema takes; undefined where it has none. */
  readonly body: unknown
}

type Node = Readonly<Record<string, unknown>>
type Document = { paths: Record<string, Record<string, Node>> } & Node

/** All operations of a document. Throws for one that does not say whom it lets in. */
export function operationsOf(document: Document): Operation[] {
  return Object.entries(document.paths).flatMap(([path, item]) =>
    Object.entries(item).map(([method, operation]) =>
      operationOf(document, `${method.toUpperCase()} ${path}`, operation)
    )
  )
}

/** Who may do what, from the declaration alone. */
export function expectedOf({ scheme, optional, ownerOnly }: Operation, caller: Caller): Expected {
  if (scheme === undefined || caller === "the owner's token") return 'success'
  if (caller === "somebody else's token") return ownerOnly ?? 'success'
  return caller === 'no token' && optional ? 'success' : 401
}

function operationOf(document: Document, name: string, operation: Node): Operation {
  const [method = '', path = ''] = name.split(' ')
  const { operationId, security, responses, requestBody } = operation as {
    operationId: string
    security?: Record<string, unknown>[]
    responses: Record<string, unknown>
    requestBody?: { content: Record<string, { schema?: unknown }> }
  }
  if (security === undefined) throw new Error(`${name} does not say whether it takes a token`)
  const schemes = security.flatMap((one) => Object.keys(one))
  const [scheme] = schemes
  if (schemes.length > 1 || (scheme !== undefined && scheme !== 'bearer' && scheme !== 'conduitToken'))
    throw new Error(`${name} takes tokens that this test does not know: ${schemes}`)
  const ownerOnly = operation['x-skerry-owner-only']
  if (ownerOnly !== undefined && ownerOnly !== 403 && ownerOnly !== 404)
    throw new Error(`${name} is its owner's alone, and others get ${ownerOnly}`)
  const schema = requestBody?.content['application/json']?.schema
  return {
    id: operationId,
    ...{ method, path, scheme, ownerOnly },
    optional: security.some((one) => Object.keys(one).length === 0),
    successes: Object.keys(responses)
      .map(Number)
      .filter((status) => status < 300),
    body: schema === undefined ? undefined : exampleOf(resolved(document, schema), 'full')
  }
}

/** A schema with what it refers to in its place. */
function resolved(document: Document, value: unknown): unknown {
  if (Array.isArray(value)) return value.map((one) => resolved(document, one))
  if (typeof value !== 'object' || value === null) return value
  const { $ref } = value as { $ref?: string }
  if ($ref !== undefined) {
    const at = $ref.slice(2).split('/')
    return resolved(
      document,
      at.reduce<unknown>((node, name) => (node as Node | undefined)?.[name], document)
    )
  }
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, resolved(document, member)]))
}
