import { isUtf8 } from 'node:buffer'
import { SkerryError, type Violation } from '@skerry/contracts'

/** Deepest nesting and most members and elements a body may have. */
export const MAX_DEPTH = 32
export const MAX_MEMBERS = 20_000

/**
 * Parses a JSON body. An empty one is `undefined`. Throws BAD_JSON for what is not JSON or not UTF-8, and BAD_REQUEST naming the
 * path for a `__proto__` member, a NUL or a lone surrogate in any string, nesting deeper than MAX_DEPTH, or more than MAX_MEMBERS members.
 */
export function parseJson(bytes: Buffer): unknown {
  if (bytes.length === 0) return undefined
  if (!isUtf8(bytes)) throw new SkerryError('BAD_JSON', { detail: 'The body is not UTF-8.' })
  const text = bytes.toString('utf8')
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    const detail = whereItBroke(error)
    throw new SkerryError('BAD_JSON', { ...(detail === undefined ? {} : { detail }), cause: error })
  }
  // Well-formed UTF-8 cannot hold a lone surrogate and JSON no raw NUL: only an escape brings one in.
  if (typeof value === 'object' && value !== null) new Inspection(text.includes('\\u')).visit(value, 'body', 1)
  else if (typeof value === 'string') refuseBadText(value, 'body')
  return value
}

/** V8's message quotes the input; only where it broke may go out. */
function whereItBroke(error: unknown): string | undefined {
  const message = String(error)
  if (/end of JSON|Unterminated/.test(message)) return 'The body ends too early.'
  const position = /at position (\d+)/.exec(message)
  return position === null ? undefined : `Unexpected input at position ${position[1]}.`
}

class Inspection {
  private members = 0
  private readonly escapes: boolean

  constructor(escapes: boolean) {
    this.escapes = escapes
  }

  visit(value: object, path: string, depth: number): void {
    if (depth > MAX_DEPTH)
      refuse({ path: clip(path), code: 'too_deep', message: `must not nest deeper than ${MAX_DEPTH}` })
    if (Array.isArray(value)) {
      this.count(value.length)
      for (let i = 0; i < value.length; i++) this.member(value[i], path, String(i), depth)
      return
    }
    const keys = Object.keys(value)
    this.count(keys.length)
    for (const key of keys) {
      if (key === '__proto__') refuse({ path: `${clip(path)}.__proto__`, code: 'unknown', message: 'is not a member' })
      if (this.escapes) refuseBadText(key, path)
      this.member((value as Record<string, unknown>)[key], path, key, depth)
    }
  }

  private member(value: unknown, path: string, key: string, depth: number): void {
    if (typeof value === 'object' && value !== null) this.visit(value, `${path}.${key}`, depth + 1)
    else if (this.escapes && typeof value === 'string') refuseBadText(value, path, key)
  }

  private count(more: number): void {
    this.members += more
    if (this.members > MAX_MEMBERS)
      refuse({ path: 'body', code: 'too_many', message: `must not have more than ${MAX_MEMBERS} members` })
  }
}

/** Refuses text that no store and no other language would keep as it is. */
export function refuseBadText(text: string, path: string, key?: string): void {
  const nul = text.includes('\0')
  if (!nul && text.isWellFormed()) return
  const where = clip(key === undefined ? path : `${path}.${key}`)
  refuse({
    path: where,
    code: 'text',
    message: nul ? 'must not contain a NUL character' : 'must be well-formed Unicode'
  })
}

function refuse(violation: Violation): never {
  throw new SkerryError('BAD_REQUEST', { errors: [violation] })
}

/** A path that can go into an answer: the names in it are the client's own. */
export function clip(path: string): string {
  const short = path.length > 200 ? `${path.slice(0, 200)}…` : path
  return short.toWellFormed().replaceAll('\0', '\u2400')
}
