import type { RouteRules } from '@skerry/contracts'
import Type, { type Static } from 'typebox'
import { Compile } from 'typebox/compile'

/** Seconds; nothing is kept for longer than a year. */
const Seconds = Type.Number({ minimum: 0, maximum: 31_536_000 })
const Tags = Type.Array(Type.String({ pattern: '^[\\x21-\\x7e]{1,200}$' }), { maxItems: 16 })

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
  zone?: string
  ops?: string
  routes?: readonly RouteRules[]
  contract?: string
  events?: string
}

const whole = Compile(InstanceSchema)
const cores = Compile(Type.Object(core))
const rules = Compile(RouteRulesSchema)
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
 * instance. Of the others what does not fit is left out and named in `dropped`, a route's rules one by one: a service must not vanish
 * because it says something that is only understood later, and a route without rules has the ordinary ones.
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
    if (name === 'routes' && Array.isArray(instance.routes)) {
      const all = instance.routes.slice(0, ROUTES) as unknown[]
      const known = all.filter((one) => rules.Check(one))
      dropped.push(`${instance.routes.length - known.length} of routes`)
      instance.routes = known
    } else {
      dropped.push(name)
      delete instance[name]
    }
  }
  return { instance: instance as Instance, dropped }
}

function isUrl(value: unknown): boolean {
  return value === undefined || (typeof value === 'string' && URL.canParse(value))
}
