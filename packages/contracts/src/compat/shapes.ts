/** A JSON Schema as it stands in a file: what TypeBox adds for TypeScript is gone. */
export type JsonSchema = Readonly<Record<string, unknown>> | boolean

/** One alternative of a schema: what it takes is of one kind. */
export type Shape =
  | { kind: 'any' }
  | { kind: 'values'; values: readonly unknown[] }
  | { kind: Kind; schema: Readonly<Record<string, unknown>> }
  /** Made of keywords that are not compared: it only equals itself. */
  | { kind: 'opaque'; schema: JsonSchema }
export type Kind = 'string' | 'number' | 'integer' | 'boolean' | 'null' | 'object' | 'array'

const KINDS = new Set(['string', 'number', 'integer', 'boolean', 'null', 'object', 'array'])
/** What says nothing about which values fit. `x-…` is for people and tools. */
const ANNOTATIONS = new Set([
  '$id',
  '$schema',
  '$comment',
  'title',
  'description',
  'examples',
  'default',
  'deprecated',
  'readOnly',
  'writeOnly'
])
/** Keywords whose members are schemas by name, so that none of them is a keyword itself. */
const MAPS = new Set(['properties', 'patternProperties', '$defs', 'dependentSchemas'])
/** Keywords whose values are data. */
const DATA = new Set(['const', 'enum'])

/** A schema without annotations, its members in a fixed order: two that take the same in the same words are the same text. */
export function bare(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(bare)
  if (typeof schema !== 'object' || schema === null) return schema
  const entries = Object.entries(schema).filter(([keyword]) => !ANNOTATIONS.has(keyword) && !keyword.startsWith('x-'))
  return Object.fromEntries(
    entries
      .map(([keyword, value]): [string, unknown] => {
        if (DATA.has(keyword)) return [keyword, value]
        if (keyword === 'required' && Array.isArray(value)) return [keyword, [...value].sort()]
        return [keyword, MAPS.has(keyword) ? bareMap(value) : bare(value)]
      })
      .sort(([a], [b]) => (a < b ? -1 : 1))
  )
}

function bareMap(map: unknown): unknown {
  if (typeof map !== 'object' || map === null) return map
  return Object.fromEntries(
    Object.entries(map)
      .map(([name, schema]): [string, unknown] => [name, bare(schema)])
      .sort(([a], [b]) => (a < b ? -1 : 1))
  )
}

/** Whether two schemas take the same in the same words. */
export function isSame(a: unknown, b: unknown): boolean {
  return JSON.stringify(bare(a)) === JSON.stringify(bare(b))
}

/** The alternatives of a schema. */
export function shapesOf(schema: unknown): Shape[] {
  if (schema === true || schema === undefined) return [{ kind: 'any' }]
  if (typeof schema !== 'object' || schema === null || Array.isArray(schema))
    return [{ kind: 'opaque', schema: schema as JsonSchema }]
  const plain = bare(schema) as Record<string, unknown>
  const keywords = Object.keys(plain)
  if (keywords.length === 0) return [{ kind: 'any' }]
  if (Array.isArray(plain.anyOf) && keywords.length === 1) return plain.anyOf.flatMap(shapesOf)
  if (Array.isArray(plain.allOf) && keywords.length === 1) {
    const merged = mergedObjects(plain.allOf)
    if (merged !== undefined) return [{ kind: 'object', schema: merged }]
  }
  if ('const' in plain && keywords.every((one) => one === 'const' || one === 'type'))
    return [{ kind: 'values', values: [plain.const] }]
  if (Array.isArray(plain.enum) && keywords.every((one) => one === 'enum' || one === 'type'))
    return [{ kind: 'values', values: plain.enum }]
  const types = Array.isArray(plain.type) ? plain.type : [plain.type]
  if (types.every((type) => KINDS.has(type)))
    return types.map((type) => ({ kind: type as Kind, schema: { ...plain, type } }))
  return [{ kind: 'opaque', schema: plain }]
}

/** TypeBox's Intersect of open objects as one object; undefined where it is made of anything else or its members overlap. */
function mergedObjects(parts: readonly unknown[]): Record<string, unknown> | undefined {
  const properties: Record<string, unknown> = {}
  const required: unknown[] = []
  for (const part of parts) {
    const one = part as Record<string, unknown>
    if (Object.keys(one).some((keyword) => !['type', 'properties', 'required'].includes(keyword))) return undefined
    for (const [name, schema] of Object.entries((one.properties ?? {}) as object)) {
      if (name in properties) return undefined
      properties[name] = schema
    }
    required.push(...((one.required as unknown[] | undefined) ?? []))
  }
  return { type: 'object', properties, required }
}

/** A schema in few words, for people: `string`, `one of "a", "b"`, `string or null`, `object`. */
export function inWords(schema: unknown): string {
  if (schema === false) return 'nothing'
  return [...new Set(shapesOf(schema).map(shapeInWords))].join(' or ')
}

export function shapeInWords(shape: Shape): string {
  if (shape.kind === 'any') return 'anything'
  if (shape.kind === 'opaque') return JSON.stringify(shape.schema).slice(0, 120)
  if (shape.kind !== 'values') return shape.kind
  const values = shape.values.map((value) => JSON.stringify(value))
  return values.length === 1 ? values[0]! : `one of ${values.join(', ')}`
}
