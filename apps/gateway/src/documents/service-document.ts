/** `schemas/Post`: a component by its kind and name. */
export type ComponentKey = string
export type PathItem = Readonly<Record<string, unknown>>

/** A service's OpenAPI document, read: what of it can be merged, and what refers to what. */
export type ServiceDocument = {
  readonly paths: ReadonlyMap<string, PathItem>
  readonly components: ReadonlyMap<ComponentKey, unknown>
  /** Which components a path's item or a component refers to; of a component by its key, of a path by the path. */
  readonly references: ReadonlyMap<string, ReadonlySet<ComponentKey>>
}

/** In the order in which they stand in the merged document. */
export const METHODS = ['get', 'post', 'put', 'patch', 'delete', 'head', 'options', 'trace'] as const
const ITEM_MEMBERS = ['summary', 'description', 'parameters'] as const
const NAME = /^[A-Za-z0-9._-]+$/
const PATH = /^\/[\x21-\x7e]*$/
/** Deeper than any schema that a person can read. */
const DEPTH = 100

/**
 * Reads the text of an OpenAPI 3.1 document. Where it runs (`servers`), its webhooks and what OpenAPI does not know are left out; its
 * default `security` is given to each operation. Throws an Error that says what is wrong when it is not such a document, is nested more
 * than 100 deep, or refers to anything but its own components: whoever reads the merged document would ask for that.
 */
export function readDocument(text: string): ServiceDocument {
  const root = objectOf(JSON.parse(text), 'the document')
  if (typeof root.openapi !== 'string' || !/^3\.1\.\d+$/.test(root.openapi)) throw new Error('it is not OpenAPI 3.1')
  const components = new Map<ComponentKey, unknown>()
  for (const [kind, named] of Object.entries(objectOf(root.components ?? {}, 'components'))) {
    if (kind.startsWith('x-')) continue
    for (const [name, value] of Object.entries(objectOf(named, `components.${kind}`))) {
      if (!NAME.test(name) || !NAME.test(kind)) throw new Error(`${kind}.${name} is no name of a component`)
      components.set(`${kind}/${name}`, value)
    }
  }
  const paths = new Map<string, PathItem>()
  for (const [path, item] of Object.entries(objectOf(root.paths ?? {}, 'paths'))) {
    if (path.startsWith('x-')) continue
    if (!PATH.test(path)) throw new Error(`${path.slice(0, 100)} is no path`)
    paths.set(path, pathItem(objectOf(item, path), root.security))
  }
  const references = new Map<string, Set<ComponentKey>>()
  for (const [where, value] of [...paths, ...components]) {
    const found = new Set<ComponentKey>()
    collect(value, found, 0)
    for (const key of found) if (!components.has(key)) throw new Error(`${where} refers to ${key}, which is not there`)
    references.set(where, found)
  }
  return { paths, components, references }
}

function pathItem(item: Record<string, unknown>, security: unknown): PathItem {
  const operations = METHODS.flatMap((method) => {
    if (item[method] === undefined) return []
    const { servers, ...operation } = objectOf(item[method], method)
    if (operation.security === undefined && security !== undefined) operation.security = security
    return [[method, operation] as const]
  })
  const shared = ITEM_MEMBERS.flatMap((member) => (item[member] === undefined ? [] : [[member, item[member]] as const]))
  return Object.fromEntries([...shared, ...operations])
}

function collect(value: unknown, found: Set<ComponentKey>, depth: number): void {
  if (typeof value !== 'object' || value === null) return
  if (depth > DEPTH) throw new Error(`it is nested more than ${DEPTH} deep`)
  if (Array.isArray(value)) {
    for (const member of value) collect(member, found, depth + 1)
    return
  }
  for (const [name, member] of Object.entries(value)) {
    if (isReference(name, member)) found.add(keyOf(member))
    else if (isRequirement(name, value)) for (const scheme of schemesOf(member)) found.add(`securitySchemes/${scheme}`)
    else if (isMapping(name, value)) for (const ref of refsOf(member)) found.add(keyOf(ref))
    collect(member, found, depth + 1)
  }
}

function isReference(name: string, member: unknown): member is string {
  return typeof member === 'string' && (name === '$ref' || name === '$dynamicRef')
}

/** `security` of an Operation Object; in a schema or an example it is somebody's own member. */
function isRequirement(name: string, within: object): boolean {
  return name === 'security' && ('responses' in within || 'operationId' in within)
}

/** `mapping` of a Discriminator Object. */
function isMapping(name: string, within: object): boolean {
  return name === 'mapping' && 'propertyName' in within
}

/** The component that a reference is to, or into. */
function keyOf(ref: string): ComponentKey {
  const match = /^#\/components\/([\w.-]+\/[\w.-]+)(?:\/|$)/.exec(ref)
  if (match === null) throw new Error(`it refers to ${ref.slice(0, 100)}, which is not a component of it`)
  return match[1]!
}

/** Names of the schemes in Security Requirement Objects. */
function schemesOf(security: unknown): string[] {
  if (!Array.isArray(security)) return []
  return security.flatMap((one) => (typeof one === 'object' && one !== null ? Object.keys(one) : []))
}

/** The references in a discriminator's mapping; its other values are names of schemas, which stay as they are. */
function refsOf(mapping: unknown): string[] {
  if (typeof mapping !== 'object' || mapping === null) return []
  return Object.values(mapping).filter((value): value is string => typeof value === 'string' && value.startsWith('#/'))
}

/**
 * A part of a document with the components that it refers to renamed.
 *
 * @param renames new names by component key
 */
export function withNames(value: unknown, renames: ReadonlyMap<ComponentKey, string>): unknown {
  if (renames.size === 0 || typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return value.map((member) => withNames(member, renames))
  return Object.fromEntries(
    Object.entries(value).map(([name, member]) => {
      if (isReference(name, member)) return [name, renamed(member, renames)]
      if (isRequirement(name, value) && Array.isArray(member))
        return [name, member.map((one) => renamedSchemes(one, renames))]
      if (isMapping(name, value)) return [name, renamedMapping(member, renames)]
      return [name, withNames(member, renames)]
    })
  )
}

function renamed(ref: string, renames: ReadonlyMap<ComponentKey, string>): string {
  const key = keyOf(ref)
  const name = renames.get(key)
  if (name === undefined) return ref
  const [kind = ''] = key.split('/')
  return `#/components/${kind}/${name}${ref.slice('#/components/'.length + key.length)}`
}

function renamedSchemes(requirement: unknown, renames: ReadonlyMap<ComponentKey, string>): unknown {
  if (typeof requirement !== 'object' || requirement === null) return requirement
  const entries = Object.entries(requirement)
  return Object.fromEntries(entries.map(([name, scopes]) => [renames.get(`securitySchemes/${name}`) ?? name, scopes]))
}

function renamedMapping(mapping: unknown, renames: ReadonlyMap<ComponentKey, string>): unknown {
  const refs = refsOf(mapping)
  if (refs.length === 0) return mapping
  const entries = Object.entries(mapping as object)
  return Object.fromEntries(entries.map(([value, ref]) => [value, refs.includes(ref) ? renamed(ref, renames) : ref]))
}

function objectOf(value: unknown, what: string): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new Error(`${what} is not an object`)
  return value as Record<string, unknown>
}
