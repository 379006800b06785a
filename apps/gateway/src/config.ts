import { BaseConfigSchema, NatsConfigSchema, parseConfig } from '@skerry/service'
import Type, { type Static } from 'typebox'

const Count = (fallback: number) => Type.Integer({ minimum: 1, maximum: 1_000_000, default: fallback })
/** May be a fraction: 0.5 is one in two seconds. */
const Rate = (fallback: number) => Type.Number({ minimum: 0.001, maximum: 1_000_000, default: fallback })
const Milliseconds = (fallback: number) => Type.Integer({ minimum: 1, maximum: 3_600_000, default: fallback })

/** Every bound of the gateway has its name here. Durations are in milliseconds, sizes in bytes. */
export const GatewayConfigSchema = Type.Object({
  ...BaseConfigSchema.properties,

  // What a gateway alone reads besides: the fixed list, and keys by URL in place of the house's own.
  /** `/feed=http://a:1,http://b:2;/other=…`; with it or ROUTES_FILE the gateway knows no NATS. */
  ROUTES: Type.Optional(Type.String()),
  /** The same in a file, a line each, read again when it changes. */
  ROUTES_FILE: Type.Optional(Type.String()),
  /** Rules of routes: a JSON array of RouteRules. */
  RULES_FILE: Type.Optional(Type.String()),
  /** Who may come in where no rule names a path: `required` needs a token, `optional` looks at one, `none` ignores it. */
  DEFAULT_AUTH: Type.Enum(['required', 'optional', 'none'], { default: 'optional' }),
  /** How often files are read and names resolved again. */
  DNS_REFRESH_MS: Type.Integer({ minimum: 100, maximum: 3_600_000, default: 5_000 }),
  /** The issuer's JWK set; without it tokens are passed on and nobody is known. */
  JWKS_URL: Type.Optional(Type.String({ pattern: '^https?://' })),
  /** Takes JWKS_URL by http from another machine. */
  JWKS_INSECURE: Type.Boolean({ default: false }),
  JWT_ISSUER: Type.String({ minLength: 1, default: 'skerry' }),
  JWT_AUDIENCE: Type.String({ minLength: 1, default: 'skerry' }),
  /** Comma-separated; asymmetric ones only. */
  JWT_ALGORITHMS: Type.String({ default: 'EdDSA,ES256,RS256' }),

  /** Processes that share the port; above 1, or with ROLLING, a primary keeps them and replaces them on SIGHUP. */
  WORKERS: Type.Integer({ minimum: 1, maximum: 64, default: 1 }),
  ROLLING: Type.Boolean({ default: false }),
  /** With a primary: one more process that has loaded its code, and takes the place of a worker that dies. */
  SPARE: Type.Boolean({ default: false }),
  /** With a primary: a worker that says nothing for so long is looked at, and killed when it hangs. 0: never, for who debugs one. */
  WORKER_HANG_MS: Type.Integer({ minimum: 0, maximum: 3_600_000, default: 10_000 }),
  PORT: Type.Integer({ minimum: 0, maximum: 65_535, default: 8080 }),
  /** Below what services take (16 KiB): the gateway adds headers of its own. */
  HEADER_LIMIT: Type.Integer({ minimum: 2_048, maximum: 65_536, default: 14_336 }),
  URL_LIMIT: Type.Integer({ minimum: 256, maximum: 65_536, default: 8_192 }),
  HEADERS_TIMEOUT_MS: Milliseconds(10_000),
  /** For a whole request to arrive, its body included. */
  REQUEST_TIMEOUT_MS: Milliseconds(30_000),
  KEEP_ALIVE_TIMEOUT_MS: Milliseconds(72_000),
  MAX_CONNECTIONS: Count(20_000),
  /** Requests sent ahead that wait for their turn: on one connection, while nothing is read from it, and on all together. */
  PIPELINED_REQUESTS: Count(16),
  PIPELINED_TOTAL: Count(20_000),
  /** Bytes of requests' bodies in memory, all together and those of one address: beyond it the newest are refused. */
  BODIES_BYTES: Type.Integer({ minimum: 65_536, maximum: 17_179_869_184, default: 134_217_728 }),
  BODIES_ADDRESS_BYTES: Type.Integer({ minimum: 65_536, maximum: 17_179_869_184, default: 33_554_432 }),
  /** Pieces (reads, chunks, DATA frames) in which the bodies of a connection may come, ahead of what it earns with requests and bytes. */
  BODY_PIECES: Count(1_024),
  /** Requests whose bodies pass through, at once: all, and those of one user or address. */
  STREAMED_BODIES: Count(512),
  STREAMED_BODIES_CALLER: Count(64),
  /** In each period a client has to read so many bytes of an answer that waits for it, or all that is left; and to send as many of a body that passes. */
  UNREAD_PERIOD_MS: Milliseconds(30_000),
  UNREAD_PERIOD_BYTES: Count(16_384),
  /** Bytes that clients below that pace may leave unread, together and from one address: the newest are ended. */
  UNREAD_BYTES: Type.Integer({ minimum: 65_536, maximum: 17_179_869_184, default: 134_217_728 }),
  UNREAD_ADDRESS_BYTES: Type.Integer({ minimum: 65_536, maximum: 17_179_869_184, default: 33_554_432 }),
  /** PEM files; with both the port speaks TLS, too. */
  TLS_CERT_FILE: Type.Optional(Type.String()),
  TLS_KEY_FILE: Type.Optional(Type.String()),
  /** With TLS: refuse connections without it. */
  TLS_ONLY: Type.Boolean({ default: true }),
  /** How often the files are looked at, and how long a ticket may resume a session, in seconds. */
  TLS_RELOAD_MS: Milliseconds(60_000),
  TLS_TICKET_SECONDS: Count(3_600),
  /** Requests that one HTTP/2 connection may have open. */
  H2_STREAMS: Count(100),
  /** Unread bytes of bodies that one stream, and all streams of a connection, may have here. */
  H2_STREAM_WINDOW: Type.Integer({ minimum: 65_535, maximum: 16_777_216, default: 262_144 }),
  H2_CONNECTION_WINDOW: Type.Integer({ minimum: 65_535, maximum: 16_777_216, default: 1_048_576 }),
  /** Memory of one HTTP/2 connection, in whole MB. */
  H2_SESSION_MEMORY: Type.Integer({ minimum: 1_000_000, maximum: 100_000_000, default: 10_000_000 }),
  /** Streams of a connection that may end by a reset: at once, and in the long run. */
  H2_RESET_BURST: Count(200),
  H2_RESETS_PER_SECOND: Count(20),
  /** The same for its pings and settings. */
  H2_CONTROL_BURST: Count(100),
  H2_CONTROL_PER_SECOND: Count(10),
  /** How long open streams have to end when the gateway leaves. */
  H2_DRAIN_MS: Milliseconds(10_000),

  /** Bodies below this are sent as they are. */
  COMPRESS_MIN_BYTES: Count(1_024),
  /** Bodies being encoded in the thread pool, and encoded streams that are open; others are sent as they are. */
  COMPRESS_CONCURRENCY: Count(4),
  /** Bodies up to this are encoded as a whole, longer ones as they come. */
  COMPRESS_WHOLE_BYTES: Type.Integer({ minimum: 1_024, maximum: 16_777_216, default: 262_144 }),
  COMPRESS_STREAMS: Count(64),

  /** For the documents of services: all of one look together, the bytes of one, how many services, how long when away, between looks. */
  DOCUMENT_TIMEOUT_MS: Milliseconds(1_000),
  DOCUMENT_LIMIT: Type.Integer({ minimum: 1_024, maximum: 16_777_216, default: 2_097_152 }),
  DOCUMENT_SERVICES: Count(64),
  DOCUMENT_KEEP_MS: Milliseconds(600_000),
  DOCUMENT_LOOK_MS: Milliseconds(5_000),

  /** Comma-separated addresses or CIDRs of the proxies in front, whose X-Forwarded-For is believed. */
  TRUSTED_PROXIES: Type.String({ default: '' }),
  /** Comma-separated origins of web apps, or `*`. */
  CORS_ORIGINS: Type.String({ default: '*' }),

  /** For all requests of a batch, and bytes of all its answers. */
  BATCH_TIMEOUT_MS: Milliseconds(15_000),
  BATCH_ANSWER_LIMIT: Type.Integer({ minimum: 1_024, maximum: 1_073_741_824, default: 8_388_608 }),

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
  /** In this time the live streams of an instance that answers no checks are ended, spread over it: their clients connect elsewhere. */
  STREAM_MOVE_MS: Milliseconds(10_000),
  /** Bytes of answers that wait here for slow clients: of one answer, of all of one user or address, and of all. */
  SPOOL_ANSWER_BYTES: Type.Integer({ minimum: 65_536, maximum: 1_073_741_824, default: 4_194_304 }),
  SPOOL_CALLER_BYTES: Type.Integer({ minimum: 65_536, maximum: 1_073_741_824, default: 16_777_216 }),
  SPOOL_BYTES: Type.Integer({ minimum: 65_536, maximum: 17_179_869_184, default: 67_108_864 }),
  /** Answers of one service that may hold their connection to it at their client's pace; half of UPSTREAM_CONNECTIONS unless given. */
  SPOOL_HELD: Type.Optional(Type.Integer({ minimum: 1, maximum: 1_000_000 })),
  /** The least pace of those, bytes a second, once they were given so long; slower ones go first where memory is short as well. */
  SPOOL_PACE_BYTES: Count(16_384),
  SPOOL_PACE_AFTER_MS: Milliseconds(10_000),
  /** PEM file of the authorities for instances with `https://` addresses, instead of the system's. */
  UPSTREAM_CA_FILE: Type.Optional(Type.String({ minLength: 1 })),
  /** Copies for shadow versions that may be under way. */
  MIRROR_IN_FLIGHT: Count(32),
  UPSTREAM_RETRIES: Type.Integer({ minimum: 0, maximum: 5, default: 2 }),
  /** Further attempts (retries and hedges) as a share of requests, and how many from rest, by service. */
  RETRY_BUDGET_SHARE: Type.Number({ minimum: 0, maximum: 1, default: 0.1 }),
  RETRY_BUDGET_BURST: Type.Number({ minimum: 1, maximum: 1_000, default: 10 }),
  /** Least delay before a GET is also sent to a second instance; above it, what 19 of 20 of its route take. 0: never. */
  HEDGE_MIN_MS: Type.Integer({ minimum: 0, maximum: 60_000, default: 10 }),
  /** The same while fewer than 50 answers of the route are known. */
  HEDGE_COLD_MS: Milliseconds(500),
  /** First and longest time an instance is passed over. */
  EJECT_MS: Milliseconds(500),
  EJECT_LONGEST_MS: Milliseconds(10_000),
  /** Failures in a row that eject an instance; one is enough where it refuses connections. */
  EJECT_FAILURES: Count(5),
  /** Share of a service's instances that 5xx and slowness may eject; what cannot be reached may be all. */
  EJECT_MAX_SHARE: Type.Number({ minimum: 0, maximum: 1, default: 0.5 }),
  /** An instance so many times slower than its peers, and by so much, is an outlier. */
  EJECT_SLOW_TIMES: Type.Number({ minimum: 1.5, maximum: 1_000, default: 5 }),
  EJECT_SLOW_BY_MS: Milliseconds(100),
  /** An instance that came or came back gets its whole share after so long. */
  SLOW_START_MS: Type.Integer({ minimum: 0, maximum: 600_000, default: 10_000 }),
  /** Active checks of each instance, at its operations port; 0: none. */
  HEALTH_INTERVAL_MS: Type.Integer({ minimum: 0, maximum: 60_000, default: 750 }),
  HEALTH_TIMEOUT_MS: Milliseconds(500),
  HEALTH_PATH: Type.String({ pattern: '^/', default: '/readyz' }),
  /** A WebSocket client's largest message, and what it may send before it is accepted, bytes. */
  WS_MESSAGE_LIMIT: Count(65_536),
  WS_EARLY_BYTES: Count(16_384),

  LIMIT_USER_PER_SECOND: Rate(50),
  LIMIT_USER_BURST: Count(200),
  LIMIT_ADDRESS_PER_SECOND: Rate(50),
  LIMIT_ADDRESS_BURST: Count(200),
  LIMIT_SIGN_UP_PER_MINUTE: Count(60),
  /** Sign-ups of an address at once: a carrier's, behind which many phones are. */
  LIMIT_SIGN_UP_BURST: Count(200),
  /** A device is a session. 0: only its user has a limit. */
  LIMIT_DEVICE_PER_SECOND: Type.Number({ minimum: 0, maximum: 1_000_000, default: 0 }),
  LIMIT_DEVICE_BURST: Count(100),
  /** Classes of routes that have a limit besides, by user or else by address: `upload=5/20,search=10/30` is rate a second / burst. */
  LIMIT_CLASSES: Type.String({ maxLength: 2_048, default: '' }),
  /** Comma-separated addresses or CIDRs that no limit by address holds for. */
  LIMIT_EXEMPT: Type.String({ default: '' }),
  /** Most requests of quota taken from Redis at once for one user or address. */
  LIMIT_LEASE: Count(100),
  /** Users, as many devices, as many addresses whose limits are held in memory. */
  LIMIT_SUBJECTS: Count(50_000),

  /** Answers in memory, by number and bytes; no body above CACHE_ENTRY_BYTES is kept. */
  CACHE_ENTRIES: Count(10_000),
  CACHE_BYTES: Type.Integer({ minimum: 1_048_576, maximum: 17_179_869_184, default: 67_108_864 }),
  CACHE_ENTRY_BYTES: Type.Integer({ minimum: 1_024, maximum: 16_777_216, default: 262_144 }),
  /** How long a gateway waits for an answer that another is fetching; 0: each fetches for itself. */
  CACHE_LOCK_MS: Type.Integer({ minimum: 0, maximum: 60_000, default: 1_000 }),

  /** Requests in flight to one service: before anything is known, when hardly used, and the bounds of what is learned. */
  CONCURRENCY_INITIAL: Count(128),
  CONCURRENCY_IDLE: Count(16),
  CONCURRENCY_MIN: Count(4),
  CONCURRENCY_MAX: Count(2_048),
  /** Latency above that without load which is not taken for overload. */
  CONCURRENCY_SLACK_MS: Milliseconds(10),
  /** How long a burst may wait for a place in its service, and signing in always; how many of one priority may. */
  CONCURRENCY_WAIT_MS: Milliseconds(100),
  CONCURRENCY_CRITICAL_WAIT_MS: Milliseconds(1_000),
  CONCURRENCY_WAITING: Count(512),
  /** Delay of the gateway's own event loop above which it sheds load at the door. */
  PRESSURE_TARGET_MS: Milliseconds(100)
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
