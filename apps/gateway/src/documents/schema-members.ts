/** One member of a payload as a line for people. */
export type Member = { path: string; type: string; required: boolean; description: string }

type Node = Readonly<Record<string, unknown>>

/** Members that a page shows of one event. */
const MOST = 200

/** The members of a JSON Schema without references, in their order, those of nested objects and lists below them: `author.id`, `tags[]`. */
export function membersOf(schema: Node): Member[] {
  const members: Member[] = []
  walk(schema, '')
  return members

  function walk(node: Node, path: string): void {
    const required = new Set(Array.isArray(node.required) ? node.required : [])
    for (const [name, value] of Object.entries(objectOf(node.properties))) {
      if (members.length >= MOST) return
      const member = objectOf(value)
      const at = path === '' ? name : `${path}.${name}`
      members.push({ path: at, type: typeOf(member), required: required.has(name), description: noteOf(member) })
      below(member, at)
    }
  }

  function below(node: Node, path: string): void {
    walk(node, path)
    if (node.items !== undefined) below(objectOf(node.items), `${path}[]`)
    for (const one of branches(node)) below(objectOf(one), path)
  }
}

function typeOf(node: Node): string {
  if ('const' in node) return JSON.stringify(node.const)
  if (Array.isArray(node.enum)) return node.enum.map((value) => JSON.stringify(value)).join(' or ')
  const several = branches(node)
  if (several.length > 0) return [...new Set(several.map((one) => typeOf(objectOf(one))))].join(' or ')
  if (node.type === 'array') return `list of ${typeOf(objectOf(node.items))}`
  return Array.isArray(node.type) ? node.type.join(' or ') : String(node.type ?? 'anything')
}

/** What it says of itself; of a list or an alternative what that says. */
function noteOf(node: Node): string {
  if (typeof node.description === 'string') return node.description
  const inner = [node.items, ...branches(node)].map((one) => objectOf(one).description)
  return inner.filter((one) => typeof one === 'string').join(' ')
}

function branches(node: Node): unknown[] {
  return [node.anyOf, node.oneOf, node.allOf].flatMap((one) => (Array.isArray(one) ? one : []))
}

function objectOf(value: unknown): Node {
  return typeof value === 'object' && value !== null ? (value as Node) : {}
}
