import { IsOptional, type TSchema } from 'typebox'

/** Takes away what stands for something left out; says whether it took away anything. */
export type Drop = (value: unknown) => boolean

type Node = TSchema & {
  type?: string
  items?: TSchema
  properties?: Record<string, TSchema>
  required?: readonly string[]
  patternProperties?: Record<string, TSchema>
  anyOf?: TSchema[]
  oneOf?: TSchema[]
  allOf?: TSchema[]
}

/**
 * Compiles what makes `null` and absent one thing: from a value of the schema, in place, each optional member is taken away that is null.
 * Many generated clients send all members of a body, those that were not set as null. A required member stays as it is, and so does data
 * whose members no schema names. One pass over the value; undefined where nothing of a schema is optional, so that most bodies cost nothing.
 *
 * @param emptyToo empty lists and maps of optional members count as absent, too: for edits, where empty means something else than absent, and
 *   some generated clients (openapi-generator's Dart) cannot leave a list out
 */
export function dropAbsentOf(schema: TSchema, emptyToo = false): Drop | undefined {
  return dropOf([schema as Node], emptyToo)
}

/** Of a value that may fit any of these: a member is optional when one says so and none requires it. */
function dropOf(schemas: readonly Node[], emptyToo: boolean): Drop | undefined {
  if (schemas.length === 0) return undefined
  const nodes = schemas.flatMap(branchesOf)
  const inside = [elements(nodes, emptyToo), members(nodes, emptyToo), values(nodes, emptyToo)].filter(
    (drop) => drop !== undefined
  )
  if (inside.length === 0) return undefined
  if (inside.length === 1) return inside[0]
  return (value) => inside.map((drop) => drop(value)).includes(true)
}

function branchesOf(node: Node): Node[] {
  const branches = [...(node.anyOf ?? []), ...(node.oneOf ?? []), ...(node.allOf ?? [])] as Node[]
  return branches.length === 0 ? [node] : [node, ...branches.flatMap(branchesOf)]
}

function elements(nodes: readonly Node[], emptyToo: boolean): Drop | undefined {
  const inside = nodes.flatMap(({ items }) => (items === undefined || Array.isArray(items) ? [] : [items as Node]))
  const drop = dropOf(inside, emptyToo)
  if (drop === undefined) return undefined
  return (value) => {
    if (!Array.isArray(value)) return false
    let dropped = false
    for (const element of value) if (drop(element)) dropped = true
    return dropped
  }
}

function members(nodes: readonly Node[], emptyToo: boolean): Drop | undefined {
  const schemas = new Map<string, Node[]>()
  const required = new Set(nodes.flatMap((node) => node.required ?? []))
  const optional = new Set<string>()
  for (const { properties } of nodes)
    for (const [name, schema] of Object.entries(properties ?? {})) {
      schemas.set(name, [...(schemas.get(name) ?? []), schema as Node])
      if (IsOptional(schema) && !required.has(name)) optional.add(name)
    }
  const names = [...optional].map((name) => ({ name, empty: emptyToo && schemas.get(name)!.some(isListOrMap) }))
  const inside = [...schemas].flatMap(([name, of]) => {
    const drop = dropOf(of, emptyToo)
    return drop === undefined ? [] : [[name, drop] as const]
  })
  if (names.length === 0 && inside.length === 0) return undefined
  return (value) => {
    if (!isObject(value)) return false
    let dropped = false
    for (const { name, empty } of names) {
      const member = value[name]
      if (member === null || (empty && isEmpty(member))) {
        delete value[name]
        dropped = true
      }
    }
    for (const [name, drop] of inside) if (Object.hasOwn(value, name) && drop(value[name])) dropped = true
    return dropped
  }
}

/** Of a map, whose names are data, only what its values hold. */
function values(nodes: readonly Node[], emptyToo: boolean): Drop | undefined {
  const drop = dropOf(
    nodes.flatMap(({ patternProperties }) => Object.values(patternProperties ?? {}) as Node[]),
    emptyToo
  )
  if (drop === undefined) return undefined
  return (value) => {
    if (!isObject(value)) return false
    let dropped = false
    for (const member of Object.values(value)) if (drop(member)) dropped = true
    return dropped
  }
}

function isListOrMap(node: Node): boolean {
  return branchesOf(node).some(({ type, patternProperties }) => type === 'array' || patternProperties !== undefined)
}

function isEmpty(value: unknown): boolean {
  return Array.isArray(value) ? value.length === 0 : isObject(value) && Object.keys(value).length === 0
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
