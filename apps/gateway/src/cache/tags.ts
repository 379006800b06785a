/** The tags of an answer, from the path and query of its request as they came. `undefined`: they cannot be told, so it is not kept. */
export type TagsOf = (target: string, userId: string | undefined) => string[] | undefined

/** The tags that an event ends. */
export type EndedTagsOf = (data: Readonly<Record<string, unknown>>) => string[]

/** A member that is not there leaves its tag out; one that is there but unfit means that the tag cannot be told. */
type Value = string | undefined | typeof UNFIT
type Template = { readonly literals: readonly string[]; readonly names: readonly string[] }

const UNFIT = Symbol('unfit')
/** Characters of a member of a tag. */
const LONGEST_VALUE = 128
const LONGEST_TEMPLATE = 128
const CALLER = 'caller'

/**
 * Compiles the tag templates of a route: `{name}` is a parameter of the path, else of the query; `{caller}` the user's id, if answers are
 * kept by user. Throws for a template that is longer than 128 characters.
 */
export function compileTags(templates: readonly string[], path: string, byUser: boolean): TagsOf {
  const parsed = templates.map(parse).filter(({ names }) => byUser || !names.includes(CALLER))
  const segments = new Map(
    path.split('/').flatMap((one, i) => (one.startsWith(':') ? [[one.slice(1), i] as const] : []))
  )
  const names = new Set(parsed.flatMap((template) => template.names))
  const needsPath = [...names].some((name) => segments.has(name))
  const needsQuery = [...names].some((name) => name !== CALLER && !segments.has(name))

  return (target, userId) => {
    const question = target.indexOf('?')
    const parts = needsPath ? (question === -1 ? target : target.slice(0, question)).split('/') : []
    const query = needsQuery && question !== -1 ? new URLSearchParams(target.slice(question + 1)) : undefined
    const memberOf = (name: string): Value => {
      const at = segments.get(name)
      if (at !== undefined) return fit(decoded(parts[at]))
      if (name === CALLER) return fit(userId)
      const values = query?.getAll(name) ?? []
      // Of a repeated parameter only the service knows which one it took.
      return values.length > 1 ? UNFIT : fit(values[0])
    }
    const tags: string[] = []
    for (const template of parsed) {
      const tag = fill(template, memberOf)
      if (tag === UNFIT) return undefined
      if (tag !== undefined) tags.push(tag)
    }
    return tags
  }
}

/** Compiles the templates of an event: `{name}` is a string or number among the members of its data. Throws as `compileTags`. */
export function compileEndedTags(templates: Iterable<string>): EndedTagsOf {
  const parsed = Array.from(templates, parse)
  return (data) => {
    const memberOf = (name: string): Value => {
      const value = Object.hasOwn(data, name) ? data[name] : undefined
      return typeof value === 'string' || typeof value === 'number' ? fit(String(value)) : undefined
    }
    // No answer carries a tag that is unfit, so there is nothing to end.
    return parsed.map((template) => fill(template, memberOf)).filter((tag) => typeof tag === 'string')
  }
}

function parse(template: string): Template {
  if (template.length > LONGEST_TEMPLATE) throw new Error(`a tag of more than ${LONGEST_TEMPLATE} characters`)
  const parts = template.split(/\{(\w+)\}/)
  return { literals: parts.filter((_, i) => i % 2 === 0), names: parts.filter((_, i) => i % 2 === 1) }
}

function fill({ literals, names }: Template, memberOf: (name: string) => Value): Value {
  let tag = literals[0] ?? ''
  for (let i = 0; i < names.length; i++) {
    const value = memberOf(names[i]!)
    if (typeof value !== 'string') return value
    tag += value + literals[i + 1]
  }
  return tag
}

function fit(value: string | undefined | typeof UNFIT): Value {
  return typeof value === 'string' && value.length > LONGEST_VALUE ? UNFIT : value
}

function decoded(segment: string | undefined): Value {
  if (segment?.includes('%') !== true) return segment
  try {
    return decodeURIComponent(segment)
  } catch {
    return UNFIT
  }
}
