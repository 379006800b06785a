/**
 * - `new`: was not released yet. `additive`: everybody who kept to the released one goes on working. `breaking`: somebody may not.
 */
export type ChangeKind = 'new' | 'additive' | 'breaking'

/** One difference between a released contract and the declared one. */
export type Change = {
  readonly kind: ChangeKind
  /** `content.post.created.v1` or `GET /v1/posts/:id`. */
  readonly contract: string
  /** Where in it: `data.text`, `body.tags[]`, `response 200.author.username`; empty for the whole. */
  readonly path: string
  readonly before: string
  readonly after: string
  readonly why: string
}

/** Differences of two JSON values by path, at most 50: what an additive change has changed. */
export function differences(
  before: unknown,
  after: unknown,
  path = ''
): Array<Pick<Change, 'path' | 'before' | 'after'>> {
  const found: Array<Pick<Change, 'path' | 'before' | 'after'>> = []
  walk(before, after, path)
  return found

  function walk(from: unknown, to: unknown, at: string): void {
    if (found.length >= 50 || JSON.stringify(from) === JSON.stringify(to)) return
    if (isRecord(from) && isRecord(to)) {
      for (const name of new Set([...Object.keys(from), ...Object.keys(to)]))
        walk(from[name], to[name], at === '' ? name : `${at}.${name}`)
      return
    }
    found.push({ path: at, before: short(from), after: short(to) })
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function short(value: unknown): string {
  const text = value === undefined ? 'nothing' : JSON.stringify(value)
  return text.length > 100 ? `${text.slice(0, 99)}…` : text
}
