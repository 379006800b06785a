import type { RouteRules } from '@skerry/contracts'
import Type, { type Static, type TSchema } from 'typebox'
import { Compile } from 'typebox/compile'

/** Seconds; nothing is kept for longer than a year. */
const Seconds = Type.Number({ minimum: 0, maximum: 31_536_000 })
const MOST_TAGS = 16
const Tags = Type.Array(Type.String({ pattern: '^[\\x21-\\x7e]{1,200}$' }), { maxItems: MOST_TAGS })

/** A route's rules as they are announced: what the gateway acts on, each part bounded. Members it does not know are let through. */
export const RouteRulesSchema = Type.Object({
  method: Type.Enum(['GET', 'POST', 'PUT', 'PATCH', 'DELETE']),
  /** Whole segments, plain or a parameter: safe to make a pattern of. */
  path: Type.String({ maxLength: 512, pattern: '^(?:/(?::[A-Za-z_]\\w{0,63}|[A-Za-z0-9_.~-]{1,128}))+$' }),
  auth: Type.Enum(['required', 'optional', 'none']),
  endedSession: Type.Optional(Type.Literal(true)),
  idempotent: Type.Optional(Type.Boolean()),
  limit: Type.Optional(Type.String({ pattern: '^[a-z][a-z0-9-]{0,31}$' })),
  stream: Type.Optional(Type.Boolean()),
  timeoutMs: Type.Optional(Type.Integer({ minimum: 1, maximum: 600_000 })),
  priority: Type.Optional(Type.Enum(['critical', 'high', 'normal', 'low'])),
  cache: Type.Optional(
    Type.Object({
      scope: Type.Enum(['public', 'private']),
      ttl: Seconds,
      staleWhileRevalidate: Type.Optional(Seconds),
      staleIfError: Type.Optional(Seconds),
      tags: Type.Optional(Tags),
      endedBy: Type.Optional(
        Type.Record(Type.String({ pattern: '^[a-z]+\\.[a-z]+\\.[a-z]+$' }), Tags, {
          additionalProperties: false,
          maxProperties: 32
        })
      ),
      vary: Type.Optional(Type.Array(Type.String({ pattern: '^[a-z0-9-]{1,64}$' }), { maxItems: 8 }))
    })
  ),
  ends: Type.Optional(Tags),
  body: Type.Optional(Type.Literal('stream')),
  /** Bytes of a streamed body. */
  bodyLimit: Type.Optional(Type.Integer({ minimum: 1, maximum: 1_099_511_627_776 }))
})

const ROUTES = 200

const core = {
  service: Type.String({ pattern: '^[a-z][a-z0-9-]{0,63}$' }),
  version: Type.String(),
  instance: Type.String({ pattern: '^[A-Za-z0-9_-]{1,64}$' }),
  url: Type.String({ pattern: '^https?://' }),
  weight: Type.Number({ exclusiveMinimum: 0, maximum: 1000 }),
  prefixes: Type.Array(Type.String({ pattern: '^/' }), { maxItems: 100 })
}
const extras = {
  /** Where it runs; a gateway prefers its own zone. */
  zone: Type.String({ pattern: '^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$' }),
  /** Its operations port, where gateways ask `/readyz`, `/openapi.json` and `/asyncapi.json`. */
  ops: Type.String({ maxLength: 512, pattern: '^https?://' }),
  routes: Type.Array(RouteRulesSchema, { maxItems: ROUTES }),
  /** SHA-256 of its OpenAPI document, hexadecimal. */
  contract: Type.String({ pattern: '^[0-9a-f]{16,128}$' }),
  /** SHA-256 of its AsyncAPI document, hexadecimal. */
  events: Type.String({ pattern: '^[0-9a-f]{16,128}$' })
}

/** What an instance says of itself every second under the key `<service>.<instance>`. Members that are not known are let through. */
export const InstanceSchema = Type.Object({
  ...core,
  zone: Type.Optional(extras.zone),
  ops: Type.Optional(extras.ops),
  routes: Type.Optional(extras.routes),
  contract: Type.Optional(extras.contract),
  events: Type.Optional(extras.events)
})
export type Instance = Static<ReturnType<typeof Type.Object<typeof core>>> & {
  /** It has announced rules of which cannot be told what they are about: who reads it must not take any of its paths for open. */
  unreadRules?: boolean
  zone?: string
  ops?: string
  routes?: readonly RouteRules[]
  contract?: string
  events?: string
}

const whole = Compile(InstanceSchema)
const cores = Compile(Type.Object(core))
const place = Compile(Type.Pick(RouteRulesSchema, ['method', 'path']))
const tag = Compile(Tags.items)
const members = Object.entries(RouteRulesSchema.properties)
  .filter(([name]) => name !== 'method' && name !== 'path' && name !== 'auth')
  .map(([name, schema]) => [name, Compile(schema as TSchema)] as const)
const auths = Compile(RouteRulesSchema.properties.auth)
const fits: Readonly<Record<keyof typeof extras, { Check(value: unknown): boolean }>> = {
  zone: Compile(extras.zone),
  ops: Compile(extras.ops),
  routes: Compile(extras.routes),
  contract: Compile(extras.contract),
  events: Compile(extras.events)
}

/** Throws a line that names what of an instance cannot be announced. */
export function assertInstance(self: Instance): void {
  if (whole.Check(self)) return
  const errors = whole.Errors(self).map(({ instancePath, message }) => `${instancePath.slice(1)} ${message}`)
  throw new Error(`cannot announce this instance: ${errors.slice(0, 5).join('; ')}`)
}

/**
 * Reads an announcement, which may be of a newer or older release than this one. Without the members that every release needs there is no
 * instance. Of the others what does not fit is left out and named in `dropped`: a service must not vanish because it says something that is
 * only understood later. Of a route's rules it is left out by `readRules`, so that nothing becomes open by it.
 */
export function readInstance(value: unknown): { instance: Instance; dropped: string[] } | undefined {
  // A pattern lets through what no URL parser takes, and one bad address must not stop who reads it.
  if (whole.Check(value) && isUrl(value.url) && isUrl(value.ops)) return { instance: value as Instance, dropped: [] }
  if (!cores.Check(value) || !isUrl(value.url)) return undefined
  const instance = { ...value } as Record<string, unknown>
  const dropped: string[] = []
  for (const [name, check] of Object.entries(fits)) {
    if (instance[name] === undefined || (check.Check(instance[name]) && (name !== 'ops' || isUrl(instance.ops))))
      continue
    if (name === 'routes') {
      const { rules, unread, left } = readRules(instance.routes)
      if (rules === undefined) delete instance.routes
      else instance.routes = rules
      if (unread) instance.unreadRules = true
      dropped.push(...left)
    } else {
      dropped.push(name)
      delete instance[name]
    }
  }
  return { instance: instance as Instance, dropped }
}

/**
 * Reads rules of which some do not fit, member by member, so that what is not understood makes a route narrower and never wider:
 *
 * - `auth`: the token is needed. A rule without a method and a path that fit could be about any path, so all that no rule names need it
 *   (`unread`); also where there are more rules than are read, or no list. Unless it says that no token is needed.
 * - `endedSession`, `idempotent`, `stream`, `timeoutMs`, `priority`: as if it did not say so: ended sessions are refused, nothing is sent
 *   again, the ordinary deadline and priority hold. `limit`: the limits of each caller hold.
 * - `cache`: nothing is kept. One member of it may be what ends an answer, or keeps it from others.
 * - `ends`: the tags that fit are ended.
 * - `body`: its bodies are read whole. `bodyLimit`: the ordinary limit holds.
 */
function readRules(value: unknown): { rules: RouteRules[] | undefined; unread: boolean; left: string[] } {
  if (!Array.isArray(value)) return { rules: undefined, unread: true, left: ['routes'] }
  const rules: RouteRules[] = []
  const left: string[] = []
  let lost = Math.max(0, value.length - ROUTES)
  let unread = lost > 0
  for (const one of value.slice(0, ROUTES) as unknown[]) {
    if (!place.Check(one)) {
      lost++
      const auth = (one as { auth?: unknown } | null)?.auth
      if (auth !== 'none' && auth !== 'optional') unread = true
      continue
    }
    const rule: Record<string, unknown> = { ...one }
    const leave = (name: string) => {
      left.push(`${name} of ${one.method} ${one.path}`)
      delete rule[name]
    }
    for (const [name, check] of members) if (rule[name] !== undefined && !check.Check(rule[name])) leave(name)
    if (rule.ends === undefined && Array.isArray((one as { ends?: unknown }).ends))
      rule.ends = (one as unknown as { ends: unknown[] }).ends.filter((text) => tag.Check(text)).slice(0, MOST_TAGS)
    if (!auths.Check(rule.auth)) {
      leave('auth')
      rule.auth = 'required'
    }
    rules.push(rule as RouteRules)
  }
  if (lost > 0) left.push(`${lost} of routes`)
  return { rules, unread, left }
}

function isUrl(value: unknown): boolean {
  return value === undefined || (typeof value === 'string' && URL.canParse(value))
}
