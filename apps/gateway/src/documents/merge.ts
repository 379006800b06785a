import type { OpenApiDocument } from '@skerry/contracts/openapi'
import { type ComponentKey, METHODS, type PathItem, type ServiceDocument, withNames } from './service-document.ts'

/** What one service brings to the merged document. */
export type Contribution = {
  readonly service: string
  readonly document: ServiceDocument
  /** Its paths that lead to it. */
  readonly paths: readonly string[]
}

/**
 * One OpenAPI 3.1 document of several. A path is whose it is first: the gateway's own come first, and of a service only those that the
 * route table leads to it. Components come along as far as these paths need them; one whose name is taken by another content becomes
 * `<service>.<name>`, and so does an `operationId`. The same contributions in the same order give the same text.
 */
export function mergeDocuments(info: OpenApiDocument['info'], contributions: readonly Contribution[]): OpenApiDocument {
  const paths = new Map<string, PathItem>()
  const components = new Map<ComponentKey, { text: string; value: unknown }>()
  const operationIds = new Set<string>()
  const tags = new Set<string>()

  for (const { service, document, paths: held } of contributions) {
    const added = held.filter((path) => document.paths.has(path) && !paths.has(path))
    const needed = reachable(document, added)
    const renames = renamesOf(service, document, needed)
    for (const key of needed) {
      const value = withNames(document.components.get(key), renames)
      const name = renames.get(key)
      const kept = name === undefined ? key : `${kindOf(key)}/${name}`
      if (!components.has(kept)) components.set(kept, { text: JSON.stringify(value), value })
    }
    for (const path of added) {
      const item = withNames(document.paths.get(path), renames) as PathItem
      paths.set(path, withFreeIds(item, service))
    }
  }
  return {
    openapi: '3.1.1',
    info,
    // Relative to where the document was fetched: the gateway does not know by which name clients reach it.
    servers: [{ url: '/' }],
    tags: [...tags].sort().map((name) => ({ name })),
    paths: sortedObject([...paths]) as OpenApiDocument['paths'],
    components: componentsObject(components)
  }

  /** Names for those of `needed` whose own is taken by another content, and for what refers to them and would else be taken for another's. */
  function renamesOf(service: string, document: ServiceDocument, needed: ReadonlySet<ComponentKey>) {
    const users = new Map<ComponentKey, ComponentKey[]>()
    for (const key of needed) {
      for (const used of document.references.get(key) ?? []) {
        const known = users.get(used)
        if (known === undefined) users.set(used, [key])
        else known.push(key)
      }
    }
    const differs = (key: ComponentKey) => {
      const taken = components.get(key)
      return taken !== undefined && taken.text !== JSON.stringify(document.components.get(key))
    }
    const renames = new Map<ComponentKey, string>()
    const queue = [...needed].filter(differs)
    for (let key = queue.pop(); key !== undefined; key = queue.pop()) {
      if (renames.has(key)) continue
      renames.set(key, freeName(key, service, document))
      for (const user of users.get(key) ?? []) if (components.has(user)) queue.push(user)
    }
    return renames
  }

  function freeName(key: ComponentKey, service: string, document: ServiceDocument): string {
    let name = `${service}.${key.slice(key.indexOf('/') + 1)}`
    const taken = (one: string) =>
      components.has(`${kindOf(key)}/${one}`) || document.components.has(`${kindOf(key)}/${one}`)
    while (taken(name)) name += '_'
    return name
  }

  function withFreeIds(item: PathItem, service: string): PathItem {
    const entries = Object.entries(item).map(([method, operation]) => {
      if (!(METHODS as readonly string[]).includes(method)) return [method, operation]
      const { operationId, tags: named } = operation as { operationId?: unknown; tags?: unknown }
      if (Array.isArray(named)) for (const tag of named) tags.add(String(tag))
      if (typeof operationId !== 'string') return [method, operation]
      let id = operationId
      if (operationIds.has(id)) id = `${service}.${id}`
      while (operationIds.has(id)) id += '_'
      operationIds.add(id)
      return [method, id === operationId ? operation : { ...(operation as object), operationId: id }]
    })
    return Object.fromEntries(entries)
  }
}

function kindOf(key: ComponentKey): string {
  return key.slice(0, key.indexOf('/'))
}

/** All components that paths refer to, by way of others too. */
function reachable(document: ServiceDocument, paths: readonly string[]): Set<ComponentKey> {
  const found = new Set<ComponentKey>()
  const queue: string[] = [...paths]
  for (let where = queue.pop(); where !== undefined; where = queue.pop()) {
    for (const key of document.references.get(where) ?? []) {
      if (found.has(key)) continue
      found.add(key)
      queue.push(key)
    }
  }
  return found
}

function componentsObject(components: ReadonlyMap<ComponentKey, { value: unknown }>) {
  const kinds = new Map<string, [string, unknown][]>()
  for (const [key, { value }] of components) {
    const kind = kindOf(key)
    const named = kinds.get(kind) ?? []
    named.push([key.slice(kind.length + 1), value])
    kinds.set(kind, named)
  }
  return sortedObject([...kinds].map(([kind, named]) => [kind, sortedObject(named)])) as NonNullable<
    OpenApiDocument['components']
  >
}

/** An object whose members stand in the order of their names' code units. */
function sortedObject(entries: (readonly [string, unknown])[]): Record<string, unknown> {
  return Object.fromEntries(entries.sort((a, b) => (a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : 0)))
}
