import { Compile } from 'typebox/compile'
import { EXAMPLE_IDS } from '../examples.ts'

/** `full`: with all optional members, values rather than null; `least`: without them, null where it may be. */
export type Fullness = 'full' | 'least'

type Node = Readonly<Record<string, unknown>>

/**
 * A payload that a schema takes, the same one each time: `examples`, `default`, `const` and `enum` are taken from the schema, the rest is
 * made of what it says. Throws for a schema whose values cannot be made up (a `pattern` without an example): say one in its `examples`.
 */
export function exampleOf(schema: unknown, fullness: Fullness): unknown {
  const value = make(schema, fullness, '')
  const check = Compile(schema as object)
  if (check.Check(value)) return value
  const { instancePath, message } = check.Errors(value)[0] ?? { instancePath: '', message: 'does not fit' }
  throw new Error(`no example can be made: ${instancePath || 'it'} ${message}. Give its schema one in \`examples\``)
}

function make(schema: unknown, fullness: Fullness, path: string): unknown {
  if (typeof schema !== 'object' || schema === null) return null
  const node = schema as Node
  if (Array.isArray(node.examples) && node.examples.length > 0) return varied(node, node.examples[0], path)
  if ('default' in node) return node.default
  if ('const' in node) return node.const
  if (Array.isArray(node.enum)) return node.enum[0]
  if (Array.isArray(node.anyOf)) {
    const isNull = (one: unknown) => (one as Node | undefined)?.type === 'null'
    const branches = node.anyOf as unknown[]
    return make(branches.find((one) => isNull(one) === (fullness === 'least')) ?? branches[0], fullness, path)
  }
  if (Array.isArray(node.allOf))
    return Object.assign({}, ...node.allOf.map((one: unknown) => make(one, fullness, path) as object))
  return makeKind(node, fullness, path)
}

function makeKind(node: Node, fullness: Fullness, path: string): unknown {
  const type = Array.isArray(node.type) ? node.type[0] : node.type
  switch (type) {
    case 'object':
      return makeObject(node, fullness, path)
    case 'array': {
      const least = Number(node.minItems ?? 0)
      const items = (node.items ?? {}) as unknown
      const count = Math.max(least, fullness === 'full' && node.maxItems !== 0 ? 1 : 0)
      return Array.from({ length: count }, (_, at) => make(items, fullness, `${path}[${at}]`))
    }
    case 'string':
      return makeText(node, path)
    case 'integer':
    case 'number': {
      const { minimum, exclusiveMinimum, maximum } = node
      const least = Number(minimum ?? (exclusiveMinimum === undefined ? 1 : Number(exclusiveMinimum) + 1))
      return maximum === undefined ? least : Math.min(least, Number(maximum))
    }
    case 'boolean':
      return fullness === 'full'
    default:
      return null
  }
}

function makeObject(node: Node, fullness: Fullness, path: string): Record<string, unknown> {
  const required = new Set((node.required as string[] | undefined) ?? [])
  const members = Object.entries((node.properties as Record<string, unknown> | undefined) ?? {})
  // As many optional ones as the object must have.
  let more = fullness === 'full' ? members.length : Number(node.minProperties ?? 0) - required.size
  return Object.fromEntries(
    members
      .filter(([name]) => required.has(name) || more-- > 0)
      .map(([name, schema]) => [name, make(schema, fullness, path === '' ? name : `${path}.${name}`)])
  )
}

/** The name of the member, cut or filled up to the bounds. */
function makeText(node: Node, path: string): string {
  const name = path.split('.').at(-1) ?? ''
  const text = name === '' ? 'text' : name.replaceAll(/\[\d+\]/g, '')
  const least = Number(node.minLength ?? 0)
  return text.padEnd(least, text === '' ? 'x' : text).slice(0, Number(node.maxLength ?? 200))
}

/**
 * Ids of members that declare no example of their own differ, so that an example shows which is which: the last digits of the common one are
 * told by the path.
 */
function varied(node: Node, example: unknown, path: string): unknown {
  if (example !== EXAMPLE_IDS.any) return example
  const other = example.slice(0, -3) + String(Math.abs(codeOf(path)) % 1_000).padStart(3, '0')
  return Compile(node as object).Check(other) ? other : example
}

/** A number told by a text; the usual hash by 31. */
function codeOf(text: string): number {
  let code = 7
  for (const char of text) code = (Math.imul(code, 31) + (char.codePointAt(0) ?? 0)) | 0
  return code
}
