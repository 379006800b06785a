import { Compile } from 'typebox/compile'
import { inWords, isSame, type JsonSchema, type Kind, type Shape, shapeInWords, shapesOf } from './shapes.ts'

/** Something that one schema lets through and another does not take. */
export type Refusal = {
  /** Where: `tags[]`, `author.username`, `counts{}` for any member of a map; empty for the whole. */
  readonly path: string
  /** What of the schema that values come from, and what of the one that takes them. */
  readonly given: string
  readonly taken: string
  readonly why: string
}

/** Which of the two schemas is the released one: a member that it declares may not vanish. */
export type Released = 'given' | 'taken'

type ObjectSchema = {
  properties?: Record<string, unknown>
  required?: readonly string[]
  additionalProperties?: unknown
  patternProperties?: Record<string, unknown>
}

/**
 * What `taken` refuses of the values that `given` describes: none means that whoever reads by `taken` can read all that is written by
 * `given`. A member that `given` does not declare counts as absent, since writers send what they declare. What cannot be compared (other
 * patterns, keywords that this does not know) counts as refused: better a version too many than a reader that breaks.
 */
export function refusals(given: unknown, taken: unknown, released: Released): Refusal[] {
  const found: Refusal[] = []
  compare(given, taken, '')
  return found

  function compare(from: unknown, to: unknown, path: string): void {
    if (isSame(from, to)) return
    const takers = shapesOf(to)
    for (const shape of shapesOf(from)) {
      if (takers.some((taker) => taker.kind === 'any')) return
      found.push(...bestFit(shape, to, takers, path))
    }
  }

  /** An alternative must fit into one of the taker's; where it fits into none, what is said is of the one nearest to it. */
  function bestFit(shape: Shape, to: unknown, takers: readonly Shape[], path: string): readonly Refusal[] {
    if (shape.kind === 'values') return refusedValues(shape.values, to, path)
    let nearest: readonly Refusal[] | undefined
    for (const taker of takers) {
      const refused = fit(shape, taker, path)
      if (refused === undefined) continue
      if (refused.length === 0) return []
      if (nearest === undefined || refused.length < nearest.length) nearest = refused
    }
    if (nearest !== undefined) return nearest
    const given = shapeInWords(shape)
    return [{ path, given, taken: inWords(to), why: `${given} is not taken` }]
  }

  function refusedValues(values: readonly unknown[], to: unknown, path: string): Refusal[] {
    const check = Compile(to as object)
    const refused = values.filter((value) => !check.Check(value))
    if (refused.length === 0) return []
    const list = refused.map((value) => JSON.stringify(value)).join(', ')
    return [{ path, given: shapeInWords({ kind: 'values', values }), taken: inWords(to), why: `${list} is not taken` }]
  }

  /** Undefined where the two are of different kinds. */
  function fit(shape: Shape, taker: Shape, path: string): Refusal[] | undefined {
    if (taker.kind === 'any') return []
    if (shape.kind === 'any' || shape.kind === 'values' || taker.kind === 'values') return undefined
    if (shape.kind === 'opaque' || taker.kind === 'opaque') {
      const same = shape.kind === taker.kind && isSame(shape.schema, taker.schema)
      return same ? [] : undefined
    }
    if (shape.kind !== taker.kind && !(shape.kind === 'integer' && taker.kind === 'number')) return undefined
    const refused = limitRefusals(taker.kind, shape.schema, taker.schema, path)
    if (taker.kind === 'object') refused.push(...nested(() => compareObjects(shape.schema, taker.schema, path)))
    if (taker.kind === 'array')
      refused.push(...nested(() => compare(itemsOf(shape.schema), itemsOf(taker.schema), `${path}[]`)))
    return refused
  }

  /** What `work` finds, kept apart: it may turn out that another alternative fits. */
  function nested(work: () => void): Refusal[] {
    const before = found.length
    work()
    return found.splice(before)
  }

  function compareObjects(from: ObjectSchema, to: ObjectSchema, path: string): void {
    const say = (name: string, given: string, taken: string, why: string) =>
      found.push({ path: joined(path, name), given, taken, why })
    const own = from.properties ?? {}
    const known = to.properties ?? {}
    for (const [name, schema] of Object.entries(known)) {
      const isThere = Object.hasOwn(own, name)
      if (!isThere && released === 'taken') say(name, 'nothing', inWords(schema), 'readers of the released one miss it')
      else if (to.required?.includes(name) && !from.required?.includes(name))
        say(name, isThere ? 'optional' : 'nothing', 'required', 'it may be missing')
      const writer = isThere ? own[name] : ruleOf(name, from)
      if (isThere || isSchema(writer)) compare(writer, schema, joined(path, name))
    }
    for (const [name, schema] of Object.entries(own)) {
      if (Object.hasOwn(known, name)) continue
      const taker = ruleOf(name, to)
      if (taker === false) say(name, inWords(schema), 'nothing', 'it is not taken')
      else if (taker !== undefined) compare(schema, taker, joined(path, name))
      else if (released === 'given') say(name, inWords(schema), 'nothing', 'it is not read any more')
    }
    compareRest(from, to, path)
  }

  /** Members that stand in no list: maps, and whether others may be there at all. */
  function compareRest(from: ObjectSchema, to: ObjectSchema, path: string): void {
    const rest = `${path}{}`
    for (const [pattern, schema] of Object.entries(from.patternProperties ?? {})) {
      const taker = to.patternProperties?.[pattern] ?? to.additionalProperties
      if (taker === false)
        found.push({ path: rest, given: pattern, taken: 'nothing', why: 'these names are not taken' })
      else if (taker !== undefined) compare(schema, taker, rest)
    }
    const open = from.additionalProperties !== false
    if (!open) return
    if (to.additionalProperties === false)
      found.push({ path: rest, given: 'open', taken: 'closed', why: 'unknown members are refused' })
    else if (isSchema(to.additionalProperties) && isSchema(from.additionalProperties))
      compare(from.additionalProperties, to.additionalProperties, rest)
    else if (isSchema(to.additionalProperties))
      found.push({
        path: rest,
        given: 'anything',
        taken: inWords(to.additionalProperties),
        why: 'any value may be there'
      })
    for (const [pattern, schema] of Object.entries(to.patternProperties ?? {})) {
      if (from.patternProperties?.[pattern] === undefined && !hasOnly(from))
        found.push({
          path: rest,
          given: 'anything',
          taken: inWords(schema),
          why: `names that fit ${pattern} may be anything`
        })
    }
  }

  /** Whether an object says by name what it has. Its undeclared members count as absent, a map's do not. */
  function hasOnly(from: ObjectSchema): boolean {
    return from.patternProperties === undefined && from.properties !== undefined
  }
}

function isSchema(value: unknown): value is JsonSchema {
  return typeof value === 'object' && value !== null
}

/** What holds for a member that is not declared by name: undefined where it may be anything, false where it may not be there. */
function ruleOf(name: string, { patternProperties, additionalProperties }: ObjectSchema): unknown {
  for (const [pattern, schema] of Object.entries(patternProperties ?? {}))
    if (new RegExp(pattern, 'u').test(name)) return schema
  return additionalProperties === true ? undefined : additionalProperties
}

function itemsOf(schema: Readonly<Record<string, unknown>>): unknown {
  return schema.items ?? true
}

function joined(path: string, name: string): string {
  return path === '' ? name : `${path}.${name}`
}

type Limits = Readonly<Record<string, unknown>>
type Limit = { keyword: string; fits(given: unknown, taken: unknown, all: Limits): boolean; why: string }

const atLeast = (keyword: string, why: string, none: number): Limit => ({
  keyword,
  fits: (given, taken) => Number(given ?? none) >= Number(taken),
  why
})
const atMost = (keyword: string, why: string): Limit => ({
  keyword,
  fits: (given, taken) => given !== undefined && Number(given) <= Number(taken),
  why
})
const equal = (keyword: string, why: string): Limit => ({
  keyword,
  fits: (given, taken) => JSON.stringify(given) === JSON.stringify(taken),
  why
})

const NUMBERS: readonly Limit[] = [
  {
    keyword: 'minimum',
    fits: (given, taken, { exclusiveMinimum }) => Math.max(num(given), num(exclusiveMinimum)) >= Number(taken),
    why: 'smaller ones come'
  },
  {
    keyword: 'exclusiveMinimum',
    fits: (given, taken, { minimum }) => num(given) >= Number(taken) || num(minimum) > Number(taken),
    why: 'smaller ones come'
  },
  {
    keyword: 'maximum',
    fits: (given, taken, { exclusiveMaximum }) => Math.min(high(given), high(exclusiveMaximum)) <= Number(taken),
    why: 'larger ones come'
  },
  {
    keyword: 'exclusiveMaximum',
    fits: (given, taken, { maximum }) => high(given) <= Number(taken) || high(maximum) < Number(taken),
    why: 'larger ones come'
  },
  {
    keyword: 'multipleOf',
    fits: (given, taken) => given !== undefined && Number(given) % Number(taken) === 0,
    why: 'others than multiples come'
  }
]
const LIMITS: Readonly<Record<Kind, readonly Limit[]>> = {
  string: [
    atLeast('minLength', 'shorter ones come', 0),
    atMost('maxLength', 'longer ones come'),
    equal('pattern', 'another pattern lets others through'),
    equal('format', 'another format lets others through')
  ],
  number: NUMBERS,
  integer: NUMBERS,
  boolean: [],
  null: [],
  object: [atLeast('minProperties', 'fewer members come', 0), atMost('maxProperties', 'more members come')],
  array: [
    atLeast('minItems', 'fewer items come', 0),
    atMost('maxItems', 'more items come'),
    { keyword: 'uniqueItems', fits: (given, taken) => taken !== true || given === true, why: 'the same may come twice' }
  ]
}
/** Compared by their own rules, above. */
const COMPARED = new Set(['type', 'properties', 'required', 'additionalProperties', 'patternProperties'])

function limitRefusals(kind: Kind, from: Limits, to: Limits, path: string): Refusal[] {
  const rules = new Map(LIMITS[kind].map((rule) => [rule.keyword, rule]))
  const refused: Refusal[] = []
  for (const [keyword, value] of Object.entries(to)) {
    if (COMPARED.has(keyword) || (keyword === 'items' && isSchema(value) && !Array.isArray(value))) continue
    const { fits, why } = rules.get(keyword) ?? equal(keyword, 'it cannot be compared')
    if (!fits(from[keyword], value, from))
      refused.push({ path, given: said(keyword, from[keyword]), taken: said(keyword, value), why })
  }
  return refused
}

function said(keyword: string, value: unknown): string {
  return value === undefined ? `no ${keyword}` : `${keyword} ${JSON.stringify(value)}`
}

function num(value: unknown): number {
  return value === undefined ? Number.NEGATIVE_INFINITY : Number(value)
}

function high(value: unknown): number {
  return value === undefined ? Number.POSITIVE_INFINITY : Number(value)
}
