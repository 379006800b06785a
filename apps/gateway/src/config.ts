import { BaseConfigSchema, NatsConfigSchema, parseConfig } from '@skerry/service'
import Type, { type Static } from 'typebox'
import { aloneSettings } from './alone/settings.ts'

const Count = (fallback: number) => Type.Integer({ minimum: 1, maximum: 1_000_000, default: fallback })
/** May be a fraction: 0.5 is one in two seconds. */
const Rate = (fallback: number) => Type.Number({ minimum: 0.001, maximum: 1_000_000, default: fallback })
const Milliseconds = (fallback: number) => Type.Integer({ minimum: 1, maximum: 3_600_000, default: fallback })

/** Every bound of the gateway has its name here. Durations are in milliseconds, sizes in bytes. */
export const GatewayConfigSchema = Type.Object({
  ...BaseConfigSchema.properties,
  ...aloneSettings,
  /** Processes that share the port; above 1, or with ROLLING, a primary keeps them and replaces them on SIGHUP. */
  WORKERS: Type.Integer({ minimum: 1, maximum: 64, default: 1 }),
  ROLLING: Type.Boolean({ default: false }),
  LINGER_MS: Type.Integer({ minimum: 0, maximum: 600_000, default: 4_000 }),
  PORT: Type.Integer({ minimum: 0, maximum: 65_535, default: 8080 }),
  /** Below what services take (16 KiB): the gateway adds headers of its own. */
  HEADER_LIMIT: Type.Integer({ minimum: 2_048, maximum: 65_536, default: 14_336 }),
  URL_LIMIT: Type.Integer({ minimum: 256, maximum: 65_536, default: 8_192 }),
  HEADERS_TIMEOUT_MS: Milliseconds(10_000),
  /** For a whole request to arrive, its body included. */
  REQUEST_TIMEOUT_MS: Milliseconds(30_000),
  KEEP_ALIVE_TIMEOUT_MS: Milliseconds(72_000),
  MAX_CONNECTIONS: Count(20_000),

  /** Comma-separated addresses or CIDRs of the proxies in front, whose X-Forwarded-For is believed. */
  TRUSTED_PROXIES: Type.String({ default: '' }),
  /** Comma-separated origins of web apps, or `*`. */
  CORS_ORIGINS: Type.String({ default: '*' }),

  UPSTREAM_CONNECTIONS: Count(64),
  /** Requests that may be under way or wait at one instance; more are answered 503. */
  UPSTREAM_IN_FLIGHT: Count(512),
  /** Live streams through one instance. */
  UPSTREAM_STREAMS: Count(20_000),
  UPSTREAM_CONNECT_TIMEOUT_MS: Milliseconds(1_000),
  UPSTREAM_HEADERS_TIMEOUT_MS: Milliseconds(15_000),
  /** Silence between two parts of an answer. */
  UPSTREAM_IDLE_TIMEOUT_MS: Milliseconds(30_000),
  /** Silence of a live stream, above its heartbeat. */
  STREAM_IDLE_TIMEOUT_MS: Milliseconds(120_000),
  UPSTREAM_RETRIES: Type.Integer({ minimum: 0, maximum: 5, default: 2 }),
  /** First and longest time an instance that could not be reached is passed over. */
  EJECT_MS: Milliseconds(500),
  EJECT_LONGEST_MS: Milliseconds(10_000),
  /** What one WebSocket may have waiting to be sent before it is closed, and its largest message. */
  WS_BUFFER_LIMIT: Count(1_000_000),
  WS_MESSAGE_LIMIT: Count(65_536),

  LIMIT_USER_PER_SECOND: Rate(50),
  LIMIT_USER_BURST: Count(200),
  LIMIT_ADDRESS_PER_SECOND: Rate(50),
  LIMIT_ADDRESS_BURST: Count(200),
  LIMIT_SIGN_IN_PER_MINUTE: Count(60),
  LIMIT_SIGN_UP_PER_MINUTE: Count(60),
  /** Comma-separated addresses or CIDRs that no limit by address holds for. */
  LIMIT_EXEMPT: Type.String({ default: '' }),
  /** Most requests of quota taken from Redis at once for one user or address. */
  LIMIT_LEASE: Count(10),
  /** Users and addresses whose limits are held in memory. */
  LIMIT_SUBJECTS: Count(50_000)
})
export type GatewayConfig = Static<typeof GatewayConfigSchema>

/** With a registry it finds its services through NATS. */
const RegistrySchema = Type.Object({ ...GatewayConfigSchema.properties, ...NatsConfigSchema.properties })
export type RegistryConfig = Static<typeof RegistrySchema>

type Environment = Readonly<Record<string, string | undefined>>

/** Whether the gateway is to run alone, in front of a fixed list. */
export function isAlone({ ROUTES = '', ROUTES_FILE = '' }: Environment): boolean {
  return ROUTES !== '' || ROUTES_FILE !== ''
}

/** Reads the settings of a gateway alone; throws one line that names each bad variable. */
export function readAloneConfig(env: Environment): GatewayConfig {
  return parseConfig(GatewayConfigSchema, env)
}

/** Reads the gateway's settings; throws one line that names each bad variable. */
export function readConfig(env: Environment): RegistryConfig {
  return parseConfig(RegistrySchema, env)
}
