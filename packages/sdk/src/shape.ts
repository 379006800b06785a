import type { RouteContract } from '@skerry/contracts'

/** The schema of a route's success; null where its answer is empty. */
export function answerSchema(route: RouteContract): object | null {
  for (const schema of Object.values(route.response)) return schema
  return null
}

/**
 * Whether an answer can be the route's and not that of a captive portal or proxy, which like to say 204 or `{"ok":true}`. It looks only at
 * what all versions of a contract have in common: an id, a page's items, a grant's tokens.
 */
export function isAnswerOf(route: RouteContract, value: unknown, sparse: boolean): boolean {
  const schema = answerSchema(route)
  if (schema === null) return value === undefined
  if (typeof value !== 'object' || value === null) return false
  const { id, items, user, accessToken, refreshToken, expiresIn } = value as Record<string, unknown>
  const required = (schema as { required?: readonly string[] }).required ?? []
  if (required.includes('accessToken')) {
    const owner = (user as { id?: unknown } | null | undefined)?.id
    const texts = [owner, accessToken, refreshToken].every((text) => typeof text === 'string')
    return texts && typeof expiresIn === 'number'
  }
  if (required.includes('items')) return Array.isArray(items)
  return sparse || !required.includes('id') || typeof id === 'string'
}
