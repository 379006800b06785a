import type { ErrorCode } from '../errors.ts'
import type { RouteContract } from '../route.ts'
import { byName, createComponents } from './components.ts'
import { houseErrors, isTagged, operationOf } from './operation.ts'

/** An OpenAPI 3.1 document, as far as those who merge and serve it look into it. */
export type OpenApiDocument = {
  readonly openapi: string
  readonly info: { readonly title: string; readonly version: string; readonly description?: string }
  readonly servers?: readonly { readonly url: string; readonly description?: string }[]
  readonly tags?: readonly { readonly name: string }[]
  readonly paths: Readonly<Record<string, Readonly<Record<string, object>>>>
  readonly components?: Readonly<Record<string, Readonly<Record<string, object>>>>
}

export type OpenApiOptions = {
  title: string
  version: string
  description?: string
  /** Contracts by name, which become their `operationId`s; of a list each gets one made of its method and path. */
  routes: Readonly<Record<string, RouteContract>> | readonly RouteContract[]
  /** Errors of a route beside its own (`houseErrors`). */
  common?: (contract: RouteContract) => readonly ErrorCode[]
  /** Whether answers of a route carry an ETag: a JSON resource of a GET, PATCH or PUT, unless told otherwise. */
  tagged?: (contract: RouteContract) => boolean
}

const METHODS = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'] as const

/**
 * The OpenAPI 3.1 document of contracts. The same contracts give the same text in whatever order they come: paths and components are
 * sorted, methods stand in a fixed order, parts with a name (`$id` or `title`) are components. Throws when two routes share a method and
 * path, two paths differ only in the names of their parameters, or two different parts share a name.
 */
export function openApiOf(options: OpenApiOptions): OpenApiDocument {
  const { common = houseErrors, tagged = isTagged } = options
  const components = createComponents()
  const named = entriesOf(options.routes)
  const paths = new Map<string, Map<string, object>>()
  const shapes = new Map<string, string>()
  const ids = new Set<string>()
  for (const [operationId, contract] of named) {
    const path = contract.path.replaceAll(/:(\w+)/g, '{$1}')
    const shape = path.replaceAll(/\{\w+\}/g, '{}')
    if ((shapes.get(shape) ?? path) !== path) throw new Error(`${path} and ${shapes.get(shape)} are one path`)
    shapes.set(shape, path)
    const operations = paths.get(path) ?? new Map<string, object>()
    paths.set(path, operations)
    if (operations.has(contract.method)) throw new Error(`${contract.method} ${path} is declared twice`)
    if (ids.has(operationId)) throw new Error(`two routes are named ${operationId}`)
    ids.add(operationId)
    operations.set(
      contract.method,
      operationOf(operationId, contract, components, { common: common(contract), tagged: tagged(contract) })
    )
  }
  const tags = [...new Set(named.map(([, { tag }]) => tag))].sort()
  const { title, version, description } = options
  return {
    openapi: '3.1.1',
    info: { title, version, ...(description === undefined ? {} : { description }) },
    tags: tags.map((name) => ({ name })),
    paths: Object.fromEntries(
      [...paths].sort(byName).map(([path, operations]) => [
        path,
        Object.fromEntries(
          METHODS.flatMap((method) => {
            const operation = operations.get(method)
            return operation === undefined ? [] : [[method.toLowerCase(), operation]]
          })
        )
      ])
    ),
    components: components.all()
  }
}

function entriesOf(routes: OpenApiOptions['routes']): [string, RouteContract][] {
  if (!Array.isArray(routes)) return Object.entries(routes as Record<string, RouteContract>)
  return (routes as readonly RouteContract[]).map((contract) => [idOf(contract), contract])
}

/** `GET /v1/users/:id/followers` as `getV1UsersByIdFollowers`. */
function idOf({ method, path }: RouteContract): string {
  const words = path.split(/[^A-Za-z0-9:]+/).filter((word) => word !== '')
  const capital = (word: string) => `${word.charAt(0).toUpperCase()}${word.slice(1)}`
  return method.toLowerCase() + words.map((w) => (w.startsWith(':') ? `By${capital(w.slice(1))}` : capital(w))).join('')
}
