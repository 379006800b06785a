import Type, { type Static, type TObject, type TSchema } from 'typebox'
import { Compile } from 'typebox/compile'

const Port = Type.Integer({ minimum: 0, maximum: 65535 })
const Milliseconds = (fallback: number, description: string) =>
  Type.Integer({ minimum: 0, maximum: 600_000, default: fallback, description })

/** What an app without NATS reads from its environment, with the name of each bound. Durations are in milliseconds, sizes in bytes. */
export const BaseConfigSchema = Type.Object({
  SKERRY_INSTANCE: Type.String({
    pattern: '^[A-Za-z0-9_-]{1,64}$',
    default: '1',
    description: 'Name of this instance: unique among those of its app.'
  }),
  HOST: Type.String({ minLength: 1, default: '127.0.0.1', description: 'Address on which the port listens.' }),
  PORT: Type.Integer({ ...Port, default: 0, description: 'The port; 0 takes a free one.' }),
  OPS_PORT: Type.Integer({
    ...Port,
    default: 0,
    description: 'Port of health checks and metrics; 0 takes a free one.'
  }),
  OPS_HOST: Type.Optional(
    Type.String({ minLength: 1, description: 'Address on which the operations port listens; HOST unless given.' })
  ),
  ADVERTISE_URL: Type.Optional(
    Type.String({
      pattern: '^https?://',
      description: 'Where gateways reach this instance; HOST and the port that was taken unless given.'
    })
  ),
  ADVERTISE_OPS_URL: Type.Optional(
    Type.String({
      pattern: '^https?://',
      description:
        'Where gateways reach the operations port; the host of ADVERTISE_URL and the port that was taken unless given.'
    })
  ),
  ZONE: Type.Optional(
    Type.String({
      pattern: '^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$',
      description:
        'Where this process runs. A gateway prefers instances of its own zone: those of others get half as much.'
    })
  ),
  SKERRY_VERSION: Type.Optional(
    Type.String({
      pattern: '^[A-Za-z0-9][A-Za-z0-9.+_-]{0,63}$',
      description: "The version that is announced, for canaries; that of the app's package.json unless given."
    })
  ),
  LOG_LEVEL: Type.Enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'], {
    default: 'info',
    description: 'The least level that is logged.'
  }),
  REDIS_URL: Type.Optional(
    Type.String({
      pattern: '^rediss?://',
      description: 'Redis or Valkey, with user and password. Without it each process is on its own.'
    })
  ),
  REDIS_PREFIX: Type.Optional(Type.String({ description: 'How every key in Redis begins; `<app>:` unless given.' })),
  BODY_LIMIT: Type.Integer({
    minimum: 1024,
    maximum: 64 * 1024 * 1024,
    default: 1024 * 1024,
    description: 'Bytes of a request body; larger ones are 413.'
  }),
  HEADER_LIMIT: Type.Integer({
    minimum: 1024,
    maximum: 1024 * 1024,
    default: 16 * 1024,
    description: 'Bytes of all request headers; more are 431.'
  }),
  REQUEST_TIMEOUT_MS: Type.Integer({
    minimum: 100,
    maximum: 600_000,
    default: 10_000,
    description: 'For a request to arrive, and for its answer to be ready; a shorter `x-skerry-deadline` holds.'
  }),
  DRAIN_MS: Milliseconds(1000, 'How long gateways have to notice that an instance leaves, before it stops listening.'),
  // Longer than a gateway keeps one (4 s). What comes on them meanwhile is answered. Gateways that heard of the drain have closed theirs, so
  // that nothing is left to wait for.
  IDLE_KEPT_MS: Milliseconds(5_000, 'How long idle connections stay open after that, for their clients to close.'),
  SHUTDOWN_MS: Milliseconds(15_000, 'From the signal to the end, whatever is still at work then.'),
  START_TIMEOUT_MS: Milliseconds(60_000, 'From the start to ready; an app that is not ready by then exits with 1.'),
  TOKEN_CACHE: Type.Integer({
    minimum: 1,
    maximum: 1_000_000,
    default: 10_000,
    description: 'Verified access tokens that are kept in memory.'
  }),
  WEIGHT: Type.Integer({
    minimum: 1,
    maximum: 1000,
    default: 1,
    description: 'Share of the traffic for this instance, relative to the others.'
  }),
  CHECK_RESPONSES: Type.Boolean({
    default: false,
    description: 'Check every answer against its contract (for tests and development).'
  })
})
export type BaseConfig = Static<typeof BaseConfigSchema>

/** Where an app finds NATS. */
export const NatsConfigSchema = Type.Object({
  NATS_URL: Type.String({
    minLength: 1,
    description: 'Where NATS is: `nats://host:4222`, several separated by commas.'
  }),
  NATS_USER: Type.String({ minLength: 1, description: 'User of this app.' }),
  NATS_PASSWORD: Type.String({ description: 'Its password.' })
})

/** What every service reads from its environment. */
export const ServiceConfigSchema = Type.Object({ ...BaseConfigSchema.properties, ...NatsConfigSchema.properties })
export type ServiceConfig = Static<typeof ServiceConfigSchema>

/** What an app with a database of its own reads besides. */
export const DataConfigSchema = Type.Object({
  MONGO_URL: Type.String({ pattern: '^mongodb(\\+srv)?://' }),
  MONGO_DATABASE: Type.String({ pattern: '^[A-Za-z0-9_-]{1,63}$' })
})
export type DataConfig = Static<typeof DataConfigSchema>

type Member = TSchema & { type?: string; default?: unknown; '~optional'?: boolean }
const SECRET = /PASSWORD|SECRET|KEY|TOKEN|URL/

/**
 * Reads the members of `schema` from `env`: converts numbers and booleans, applies defaults, ignores other variables.
 * An empty variable counts as absent. Throws one Error whose single line names every bad variable and no secret value.
 */
export function parseConfig<S extends TObject>(
  schema: S,
  env: Readonly<Record<string, string | undefined>>
): Static<S> {
  const config: Record<string, unknown> = {}
  const problems: string[] = []
  for (const [name, member] of Object.entries(schema.properties as Record<string, Member>)) {
    const text = env[name]
    if (text === undefined || text === '') {
      if (member.default !== undefined) config[name] = member.default
      else if (schema.required?.includes(name)) problems.push(`${name} is missing`)
      continue
    }
    const value = convert(member, text)
    const validator = Compile(member)
    if (validator.Check(value)) config[name] = value
    else {
      const why = validator.Errors(value)[0]?.message ?? 'is not valid'
      problems.push(`${name} ${why}${SECRET.test(name) ? '' : ` (it is ${JSON.stringify(text.slice(0, 80))})`}`)
    }
  }
  if (problems.length > 0) throw new Error(`Bad configuration: ${problems.join('; ')}`)
  return config as Static<S>
}

function convert(member: Member, text: string): unknown {
  if (member.type === 'integer' || member.type === 'number') return text.trim() === '' ? text : Number(text)
  if (member.type === 'boolean')
    return text === 'true' || text === '1' ? true : text === 'false' || text === '0' ? false : text
  return text
}
