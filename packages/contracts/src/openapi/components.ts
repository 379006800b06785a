/** What a document holds by name: `schemas`, `responses`, … */
export type ComponentKind = 'schemas' | 'responses' | 'parameters' | 'headers' | 'securitySchemes'

export type Reference = { readonly $ref: string }

/** The named parts of one document, gathered while its operations are made. */
export type Components = {
  /** Keeps a part under its name. Throws when another part of the kind has that name already. */
  keep(kind: ComponentKind, name: string, value: object): Reference
  /** A schema as the document shows it: each part with a name (`$id`, or a `title` that is one) is kept and referred to. */
  schema(schema: unknown): unknown
  /** All that was kept, kinds and names in alphabetical order. */
  all(): Record<string, Record<string, object>>
}

const NAME = /^[A-Za-z][A-Za-z0-9._-]*$/
/** Keywords whose members are schemas by name, so that none of them is a keyword itself. */
const MAPS = new Set(['properties', 'patternProperties', '$defs', 'dependentSchemas'])
/** Keywords whose values are data. */
const DATA = new Set(['default', 'const', 'enum', 'examples', 'example'])

/**
 * Of a map (TypeBox's Record) the same said with `additionalProperties`, which tools show better and generators of clients know for a map: of
 * any string, or of those that fit a pattern when no others may be there.
 */
function mapMembers({ patternProperties, additionalProperties }: Record<string, unknown>): object | undefined {
  const [first, ...more] = Object.entries((patternProperties ?? {}) as Record<string, unknown>)
  if (first === undefined || more.length > 0) return undefined
  const [pattern, values] = first
  if (pattern === '^.*$' && additionalProperties === undefined) return { additionalProperties: values }
  return additionalProperties === false ? { additionalProperties: values, propertyNames: { pattern } } : undefined
}

export function createComponents(): Components {
  const kinds = new Map<ComponentKind, Map<string, { text: string; value: object }>>()

  function keep(kind: ComponentKind, name: string, value: object): Reference {
    const named = kinds.get(kind) ?? new Map<string, { text: string; value: object }>()
    kinds.set(kind, named)
    const text = JSON.stringify(value)
    const known = named.get(name)
    if (known !== undefined && known.text !== text) throw new Error(`two different ${kind} are named ${name}`)
    named.set(name, { text, value })
    return { $ref: `#/components/${kind}/${name}` }
  }

  function schemaOf(schema: unknown): unknown {
    if (Array.isArray(schema)) return schema.map(schemaOf)
    if (typeof schema !== 'object' || schema === null) return schema
    const { $id, ...members } = schema as Record<string, unknown>
    const copy: Record<string, unknown> = {}
    for (const [keyword, value] of Object.entries(members)) {
      if (DATA.has(keyword)) copy[keyword] = value
      // See `Time`: a document may say more of a value than services check.
      else if (keyword === 'x-format') copy.format = value
      else if (MAPS.has(keyword)) copy[keyword] = mapOf(value as Record<string, unknown>)
      else copy[keyword] = schemaOf(value)
    }
    const map = mapMembers(copy)
    if (map !== undefined) {
      delete copy.patternProperties
      Object.assign(copy, map)
    }
    const name = [$id, members.title].find((one) => typeof one === 'string' && NAME.test(one))
    return name === undefined ? copy : keep('schemas', name as string, copy)
  }

  function mapOf(map: Record<string, unknown>): Record<string, unknown> {
    return Object.fromEntries(Object.entries(map).map(([name, schema]) => [name, schemaOf(schema)]))
  }

  return {
    keep,
    schema: schemaOf,
    all: () =>
      Object.fromEntries(
        [...kinds].sort(byName).map(([kind, named]) => {
          const sorted = [...named].sort(byName)
          return [kind, Object.fromEntries(sorted.map(([name, { value }]) => [name, value]))]
        })
      )
  }
}

/** Orders entries by their names' code units, so that the order is the same everywhere. */
export function byName(a: readonly [string, unknown], b: readonly [string, unknown]): number {
  return a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : 0
}
