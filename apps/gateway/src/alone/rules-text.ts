import type { RouteRules } from '@skerry/contracts'
import { RouteRulesSchema } from '@skerry/service'
import Type from 'typebox'
import { Compile } from 'typebox/compile'
import type { FixedRoute } from './routes-text.ts'

const PATH = /^(?:\/(?::[A-Za-z_]\w{0,63}|[A-Za-z0-9_.~-]{1,128}))+(?:\/\*)?$/
const closed = { additionalProperties: false }
const { cache, ...members } = RouteRulesSchema.properties
const METHODS = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'] as const

/**
 * What a file may say of one route: what services announce, and nothing else, since nobody is newer than the gateway here; and `*`, for all
 * methods, or at the end of a path for all that is below it.
 */
const RulesSchema = Type.Object(
  {
    ...members,
    method: Type.Enum([...METHODS, '*']),
    path: Type.String({ maxLength: 512, pattern: PATH.source }),
    cache: Type.Optional(Type.Object(cache.properties, closed))
  },
  closed
)
const rulesOf = Compile(RulesSchema)
const MOST_RULES = 5_000

/** Reads rules of routes: a JSON array of `RouteRules`. Throws one line that names the first entry that does not fit. */
export function parseRules(text: string): RouteRules[] {
  let list: unknown
  try {
    list = JSON.parse(text)
  } catch (error) {
    throw new Error(`the rules are not JSON: ${(error as Error).message}`)
  }
  if (!Array.isArray(list))
    throw new Error('the rules are no array: write [{"method":"GET","path":"/feed","auth":"none"}]')
  if (list.length > MOST_RULES) throw new Error(`there are ${list.length} rules, and ${MOST_RULES} at most`)
  return list.flatMap((entry: unknown, i) => {
    if (rulesOf.Check(entry)) {
      if (entry.cache !== undefined && entry.method !== 'GET')
        throw new Error(`rule ${nameOf(entry, i)}: only answers to GET can be kept, leave out cache`)
      if (entry.cache !== undefined && entry.body === 'stream')
        throw new Error(`rule ${nameOf(entry, i)}: streamed bodies are not kept, leave out cache`)
      if (entry.bodyLimit !== undefined && entry.body !== 'stream')
        throw new Error(`rule ${nameOf(entry, i)}: bodyLimit is of streamed bodies, say body "stream" or leave it out`)
      const { method } = entry
      return method === '*' ? METHODS.map((one) => ({ ...entry, method: one }) as RouteRules) : (entry as RouteRules)
    }
    const error = rulesOf.Errors(entry)[0]
    const where = error?.instancePath.slice(1).replaceAll('/', '.') ?? ''
    const what =
      error?.message === 'schema is false'
        ? 'is not known here: leave it out'
        : error?.keyword === 'enum'
          ? `must be one of ${error.params.allowedValues.join(', ')}`
          : (error?.message ?? 'does not fit')
    throw new Error(`rule ${nameOf(entry, i)}: ${where === '' ? '' : `${where} `}${what}`)
  })
}

/**
 * Which rules hold for whom, by service. Throws for rules below no prefix: nobody would ever meet them.
 */
export function shareRules(rules: readonly RouteRules[], routes: readonly FixedRoute[]): Map<string, RouteRules[]> {
  const shared = new Map<string, RouteRules[]>()
  const longestFirst = [...routes].sort((a, b) => b.prefix.length - a.prefix.length)
  for (const [i, rule] of rules.entries()) {
    const route = longestFirst.find(({ prefix }) => rule.path === prefix || rule.path.startsWith(`${prefix}/`))
    if (route === undefined)
      throw new Error(
        `rule ${nameOf(rule, i)} is below no route: there are ${routes.map((one) => one.prefix).join(', ')}`
      )
    const ofService = shared.get(route.service)
    if (ofService === undefined) shared.set(route.service, [rule])
    else ofService.push(rule)
  }
  return shared
}

/**
 * Throws for rules that need to know who asks, where nothing can verify a token: a gateway must not seem to protect what it does not.
 */
export function assertAnonymous(rules: readonly RouteRules[]): void {
  for (const [i, rule] of rules.entries()) {
    const what =
      rule.auth === 'required' ? 'auth "required"' : rule.cache?.scope === 'private' ? 'a private cache' : undefined
    if (what !== undefined)
      throw new Error(
        `rule ${nameOf(rule, i)} says ${what}, but there are no keys to verify tokens with: give JWKS_URL (--jwks)`
      )
  }
}

function nameOf(entry: unknown, index: number): string {
  const { method, path } = (entry ?? {}) as Partial<RouteRules>
  const name =
    typeof path === 'string' ? ` (${typeof method === 'string' ? `${method} ` : ''}${path.slice(0, 80)})` : ''
  return `${index + 1}${name}`
}
