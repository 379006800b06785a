import { SkerryError } from '@skerry/contracts'
import type { TSchema } from 'typebox'

/** Makes the wire form of a value: only what the contract declares, so a member too much in a handler's result never leaves. */
export type Picker = (value: unknown) => unknown

type Schema = TSchema & {
  type?: string
  properties?: Record<string, Schema>
  items?: Schema
  anyOf?: Schema[]
}
/** Sub-selections of an object's members; `true` takes a member whole. */
type Selection = { [name: string]: Selection | true }

/** The picker of a whole schema. */
export function pickerOf(schema: TSchema): Picker {
  return compile(schema as Schema, true) ?? ((value) => value)
}

/**
 * The picker of `fields=id,author.username`: of the items when `schema` is a page. Throws BAD_REQUEST naming every path that the
 * schema does not have.
 */
export function pickerOfFields(schema: TSchema, fields: string): Picker {
  const root = schema as Schema
  const items = root.properties?.nextCursor === undefined ? undefined : root.properties.items?.items
  const selection: Selection = {}
  const unknown: string[] = []
  for (const path of fields.split(',')) if (!select(items ?? root, selection, path.split('.'))) unknown.push(path)
  if (unknown.length > 0) {
    const errors = unknown
      .slice(0, 8)
      .map((path) => ({ path: 'query.fields', code: 'unknown', message: `${path} is not a field` }))
    throw new SkerryError('BAD_REQUEST', { errors })
  }
  const whole: Selection = items === undefined ? selection : { items: selection, nextCursor: true }
  return compile(root, whole) ?? ((value) => value)
}

function select(schema: Schema, into: Selection, path: string[]): boolean {
  const [name, ...rest] = path
  const objects = objectsIn(schema)
  const member =
    name === undefined ? undefined : objects.find((o) => Object.hasOwn(o.properties ?? {}, name))?.properties?.[name]
  if (name === undefined || member === undefined) return false
  if (rest.length === 0) {
    into[name] = true
    return true
  }
  const below = into[name] ?? {}
  if (below === true) return select(member, {}, rest)
  if (!select(member, below, rest)) return false
  into[name] = below
  return true
}

/** The object schemas a value may have: itself, what an array holds, the branches of a union. */
function objectsIn(schema: Schema): Schema[] {
  if (schema.properties !== undefined) return [schema]
  if (schema.items !== undefined) return objectsIn(schema.items)
  return (schema.anyOf ?? []).flatMap(objectsIn)
}

/** A picker as generated code: an object literal of known shape, which V8 makes in a few nanoseconds. Undefined: nothing to pick. */
function compile(schema: Schema, selection: Selection | true): Picker | undefined {
  if (schema.anyOf !== undefined) {
    const branches = schema.anyOf.filter((branch) => branch.type !== 'null')
    return branches.length === 1 ? compile(branches[0]!, selection) : undefined
  }
  if (schema.items !== undefined) {
    const item = compile(schema.items, selection)
    return item === undefined ? undefined : (value) => (Array.isArray(value) ? value.map(item) : value)
  }
  if (schema.properties === undefined) return undefined
  const pickers: Picker[] = []
  const parts: string[] = []
  for (const [name, member] of Object.entries(schema.properties)) {
    const below = selection === true ? true : Object.hasOwn(selection, name) ? selection[name] : undefined
    if (below === undefined) continue
    const key = JSON.stringify(name)
    const picker = compile(member, below)
    parts.push(`${key}: ${picker === undefined ? `v[${key}]` : `p[${pickers.push(picker) - 1}](v[${key}])`}`)
  }
  // Names come from our own contracts, and as JSON strings.
  const make = new Function('p', `return (v) => v === null || typeof v !== 'object' ? v : { ${parts.join(', ')} }`)
  return make(pickers) as Picker
}
