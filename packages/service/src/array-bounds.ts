import type { Violation } from '@skerry/contracts'
import type { TSchema } from 'typebox'
import { clip } from './json-parser.ts'

/** Adds what is over its bound in `value`, which stands at `path`. */
type Look = (value: unknown, path: string, found: Violation[]) => void

type Node = TSchema & {
  type?: string
  maxItems?: number
  uniqueItems?: boolean
  items?: TSchema
  properties?: Record<string, TSchema>
  anyOf?: TSchema[]
}

/** Violations that are told of one value. */
const MOST = 8

/**
 * Compiles a look at nothing but the lengths of arrays, which comes before any other check: whether the elements of an array differ costs
 * the square of its length, so a validator that goes on after `maxItems` has failed is stopped by a body of 40 KB for seconds.
 * Undefined where a schema has no bounded array. Throws for `uniqueItems` without `maxItems`, and where this look does not get to: within
 * records, tuples and intersections.
 */
export function arrayBoundsOf(
  schema: TSchema
): ((value: unknown, path: string) => Violation[] | undefined) | undefined {
  const look = lookOf(schema as Node)
  if (uniqueIn(schema) > uniqueIn(schema, reached))
    throw new Error(
      'an array with uniqueItems must be a member, an item or a branch of anyOf: its length is not looked at elsewhere'
    )
  if (look === undefined) return undefined
  return (value, path) => {
    const found: Violation[] = []
    look(value, path, found)
    return found.length > 0 ? found : undefined
  }
}

/** How many arrays with `uniqueItems` there are in a schema, by the parts of each node that `parts` goes into. */
function uniqueIn(node: unknown, parts: (node: Node) => readonly unknown[] = Object.values): number {
  if (typeof node !== 'object' || node === null) return 0
  const below = parts(node as Node).reduce<number>((sum, part) => sum + uniqueIn(part, parts), 0)
  return below + ((node as Node).uniqueItems === true ? 1 : 0)
}

/** The parts that `lookOf` goes into. */
function reached({ anyOf, type, items, properties }: Node): readonly unknown[] {
  if (anyOf !== undefined) return anyOf
  if (type === 'array') return Array.isArray(items) ? [] : [items]
  return Object.values(properties ?? {})
}

function lookOf(node: Node): Look | undefined {
  if (node.anyOf !== undefined) return anyOf(node.anyOf as Node[])
  if (node.type === 'array') return array(node)
  if (node.properties !== undefined) return members(node.properties)
  return undefined
}

function array({ maxItems, uniqueItems, items }: Node): Look | undefined {
  if (uniqueItems === true && maxItems === undefined)
    throw new Error('an array with uniqueItems needs maxItems: comparing its elements costs the square of their number')
  const most = maxItems ?? Number.POSITIVE_INFINITY
  const inside = items === undefined ? undefined : lookOf(items as Node)
  if (inside === undefined && maxItems === undefined) return undefined
  return (value, path, found) => {
    if (!Array.isArray(value)) return
    if (value.length > most) {
      if (found.length < MOST)
        found.push({ path: clip(path), code: 'too_many', message: `must not have more than ${most} items` })
      return
    }
    if (inside === undefined) return
    for (let i = 0; i < value.length && found.length < MOST; i++) inside(value[i], `${path}.${i}`, found)
  }
}

function members(properties: Record<string, TSchema>): Look | undefined {
  const looks = Object.entries(properties).flatMap(([name, schema]) => {
    const look = lookOf(schema as Node)
    return look === undefined ? [] : [[name, look] as const]
  })
  if (looks.length === 0) return undefined
  return (value, path, found) => {
    if (typeof value !== 'object' || value === null) return
    for (const [name, look] of looks)
      if (Object.hasOwn(value, name)) look((value as Record<string, unknown>)[name], `${path}.${name}`, found)
  }
}

/** Fits when one branch has nothing against it; else what the first says. */
function anyOf(branches: Node[]): Look | undefined {
  const looks = branches.map(lookOf)
  const bounded = looks.filter((look) => look !== undefined)
  if (bounded.length === 0) return undefined
  const arrays = branches.filter(({ type }) => type === 'array').length
  const unbounded = arrays > bounded.length
  return (value, path, found) => {
    if (unbounded || found.length >= MOST) return
    let first: Violation[] | undefined
    for (const look of bounded) {
      const against: Violation[] = []
      look(value, path, against)
      if (against.length === 0) return
      first ??= against
    }
    found.push(...(first ?? []))
  }
}
