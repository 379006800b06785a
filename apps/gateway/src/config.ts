import { BaseConfigSchema, NatsConfigSchema, parseConfig } from '@skerry/service'
import Type, { type Static } from 'typebox'

const Count = (fallback: number, description: string) =>
  Type.Integer({ minimum: 1, maximum: 1_000_000, default: fallback, description })
/** May be a fraction: 0.5 is one in two seconds. */
const Rate = (fallback: number, description: string) =>
  Type.Number({ minimum: 0.001, maximum: 1_000_000, default: fallback, description })
const Milliseconds = (fallback: number, description: string) =>
  Type.Integer({ minimum: 1, maximum: 3_600_000, default: fallback, description })
const Bytes = (fallback: number, description: string) =>
  Type.Integer({ minimum: 65_536, maximum: 17_179_869_184, default: fallback, description })

const network = {
  PORT: Type.Integer({
    minimum: 0,
    maximum: 65_535,
    default: 8080,
    description: 'The public port; 0 takes a free one.'
  }),
  WORKERS: Type.Integer({
    minimum: 1,
    maximum: 64,
    default: 1,
    description:
      'Processes that share the port. Above 1, or with ROLLING, a primary process keeps the port and replaces them on SIGHUP.'
  }),
  ROLLING: Type.Boolean({
    default: false,
    description: 'Run a primary process also with one worker, so that SIGHUP replaces it without closing the port.'
  }),
  SPARE: Type.Boolean({
    default: false,
    description:
      'With a primary process: keep one more process that has loaded its code and takes the place of a worker that dies.'
  }),
  WORKER_HANG_MS: Type.Integer({
    minimum: 0,
    maximum: 3_600_000,
    default: 10_000,
    description:
      'With a primary process: a worker that is silent for so long is looked at, and killed when it hangs. At least 1000, or 0: never (for debugging).'
  }),
  MAX_CONNECTIONS: Count(20_000, 'Open client connections; more are not accepted.'),
  TRUSTED_PROXIES: Type.String({
    default: '',
    description: 'Comma-separated addresses or CIDRs of the proxies in front, whose `X-Forwarded-For` is believed.'
  }),
  CORS_ORIGINS: Type.String({ default: '*', description: 'Comma-separated origins of web apps, or `*` for all.' })
}

const alone = {
  ROUTES: Type.Optional(
    Type.String({
      description: '`/feed=http://a:1,http://b:2;/other=…`. With it, or with ROUTES_FILE, the gateway uses no NATS.'
    })
  ),
  ROUTES_FILE: Type.Optional(
    Type.String({ description: 'The same in a file, one route a line. It is read again when it changes.' })
  ),
  RULES_FILE: Type.Optional(Type.String({ description: 'Rules of routes: a JSON array of RouteRules.' })),
  DEFAULT_AUTH: Type.Enum(['required', 'optional', 'none'], {
    default: 'optional',
    description:
      'Who may use a path that no rule names: `required` needs a token, `optional` checks one if it is there, `none` ignores it.'
  }),
  DNS_REFRESH_MS: Type.Integer({
    minimum: 100,
    maximum: 3_600_000,
    default: 5_000,
    description: 'How often files are read and names are resolved again.'
  }),
  JWKS_URL: Type.Optional(
    Type.String({
      pattern: '^https?://',
      description: 'The JWK set of the token issuer. Without it tokens are passed on unchecked and nobody is known.'
    })
  ),
  JWKS_INSECURE: Type.Boolean({ default: false, description: 'Allow JWKS_URL over plain HTTP from another machine.' }),
  JWT_ISSUER: Type.String({ minLength: 1, default: 'skerry', description: 'The `iss` that tokens must have.' }),
  JWT_AUDIENCE: Type.String({ minLength: 1, default: 'skerry', description: 'The `aud` that tokens must have.' }),
  JWT_ALGORITHMS: Type.String({
    default: 'EdDSA,ES256,RS256',
    description: 'Comma-separated signature algorithms; only asymmetric ones.'
  })
}

const requests = {
  URL_LIMIT: Type.Integer({
    minimum: 256,
    maximum: 65_536,
    default: 8_192,
    description: 'Bytes of a request target; longer ones are 414.'
  }),
  HEADER_LIMIT: Type.Integer({
    minimum: 2_048,
    maximum: 65_536,
    default: 14_336,
    description:
      'Bytes of all request headers. It is below what services accept (16 KiB), because the gateway adds headers.'
  }),
  HEADERS_TIMEOUT_MS: Milliseconds(10_000, 'For the headers of a request to arrive, from their first byte.'),
  REQUEST_TIMEOUT_MS: Milliseconds(30_000, 'For a whole request to arrive, with its body unless that passes through.'),
  KEEP_ALIVE_TIMEOUT_MS: Milliseconds(72_000, 'How long an idle client connection is kept.'),
  PIPELINED_REQUESTS: Count(
    16,
    'Requests that may wait for their turn on one connection; above it nothing is read from it.'
  ),
  PIPELINED_TOTAL: Count(20_000, 'The same on all connections together; the connection that brings more is closed.'),
  PLAIN_AHEAD_BYTES: Bytes(
    67_108_864,
    'What all clients together may send ahead while the answer to a plain request is under way; the connection that brings more is closed.'
  ),
  BODIES_BYTES: Bytes(134_217_728, 'Memory for request bodies, all together; above it the newest are refused.'),
  BODIES_ADDRESS_BYTES: Bytes(33_554_432, 'The same for one client address.'),
  BODY_PIECES: Count(
    1_024,
    'Pieces (reads, chunks, DATA frames) in which the bodies of a connection may come, beyond what it earns with requests and bytes.'
  ),
  BODY_PIECES_TURN: Count(
    2_048,
    'The same for the bodies of all connections in one turn of the event loop; above it those that have not earned theirs wait.'
  ),
  STREAMED_BODIES: Count(512, "Requests whose bodies pass through (`body: 'stream'`), at once."),
  STREAMED_BODIES_CALLER: Count(64, 'The same for one user, or for one address without a token.'),
  BATCH_TIMEOUT_MS: Milliseconds(15_000, 'For all requests of one batch.'),
  BATCH_ANSWER_LIMIT: Type.Integer({
    minimum: 1_024,
    maximum: 1_073_741_824,
    default: 8_388_608,
    description: 'Bytes of all answers of one batch.'
  }),
  BATCHES_BYTES: Bytes(
    33_554_432,
    'Memory for the answers of all batches, until each batch is answered; above it the newest are refused.'
  ),
  BATCHES_ADDRESS_BYTES: Bytes(16_777_216, 'The same for one client address.')
}

const answers = {
  UNREAD_PERIOD_MS: Milliseconds(
    30_000,
    'In each period of this length a client must read UNREAD_PERIOD_BYTES of an answer that waits for it, or all that is left, and send as many of a body that passes through; otherwise its connection is closed.'
  ),
  UNREAD_PERIOD_BYTES: Count(16_384, 'See UNREAD_PERIOD_MS.'),
  UNREAD_BYTES: Bytes(
    134_217_728,
    'Unread bytes of all clients that are slower than that; above it the newest are closed.'
  ),
  UNREAD_ADDRESS_BYTES: Bytes(33_554_432, 'The same for one client address.'),
  SPOOL_ANSWER_BYTES: Type.Integer({
    minimum: 65_536,
    maximum: 1_073_741_824,
    default: 4_194_304,
    description: 'Bytes of one answer that may wait here for a slow client, so that its service is free.'
  }),
  SPOOL_CALLER_BYTES: Type.Integer({
    minimum: 65_536,
    maximum: 1_073_741_824,
    default: 16_777_216,
    description: 'The same for all answers of one user, or of one address without a token.'
  }),
  SPOOL_BYTES: Bytes(67_108_864, 'The same for all answers; one service may use half of it.'),
  SPOOL_HELD: Type.Optional(
    Type.Integer({
      minimum: 1,
      maximum: 1_000_000,
      description:
        'Answers of one service that may keep their connection to it at the pace of their client. Half of UPSTREAM_CONNECTIONS unless given.'
    })
  ),
  SPOOL_PACE_BYTES: Count(16_384, 'The slowest such pace, in bytes a second.'),
  SPOOL_PACE_AFTER_MS: Milliseconds(10_000, 'The pace is required after this time.')
}

const tls = {
  TLS_CERT_FILE: Type.Optional(
    Type.String({ description: 'PEM file of the certificate chain. With TLS_KEY_FILE the port speaks TLS.' })
  ),
  TLS_KEY_FILE: Type.Optional(Type.String({ description: 'PEM file of the private key.' })),
  TLS_ONLY: Type.Boolean({ default: true, description: 'With TLS: refuse plain connections.' }),
  TLS_RELOAD_MS: Milliseconds(60_000, 'How often the two files are checked for changes.'),
  TLS_TICKET_SECONDS: Count(3_600, 'Seconds for which a ticket may resume a TLS session.')
}

const http2 = {
  H2_STREAMS: Count(100, 'Open requests on one connection.'),
  H2_STREAM_WINDOW: Type.Integer({
    minimum: 65_535,
    maximum: 16_777_216,
    default: 262_144,
    description: 'Flow-control window of one stream, in bytes.'
  }),
  H2_CONNECTION_WINDOW: Type.Integer({
    minimum: 65_535,
    maximum: 16_777_216,
    default: 1_048_576,
    description: 'Flow-control window of one connection, in bytes.'
  }),
  H2_SESSION_MEMORY: Type.Integer({
    minimum: 1_000_000,
    maximum: 100_000_000,
    default: 10_000_000,
    description: 'Memory of one connection, in bytes, rounded up to whole megabytes.'
  }),
  H2_RESET_BURST: Count(200, 'Streams of a connection that may end with a reset at once; more close it.'),
  H2_RESETS_PER_SECOND: Count(20, 'The same in the long run, per second.'),
  H2_CONTROL_BURST: Count(100, 'PING and SETTINGS frames of a connection at once; more close it.'),
  H2_CONTROL_PER_SECOND: Count(10, 'The same in the long run, per second.'),
  H2_DRAIN_MS: Milliseconds(10_000, 'How long open streams may go on when the gateway stops.')
}

const webSockets = {
  WS_MESSAGE_LIMIT: Count(65_536, 'Bytes of one client message; larger ones close the connection with 1009.'),
  WS_EARLY_BYTES: Count(16_384, 'Bytes that a client may send before its handshake is accepted.')
}

const compression = {
  COMPRESS_MIN_BYTES: Count(1_024, 'Smaller bodies are sent as they are.'),
  COMPRESS_WHOLE_BYTES: Type.Integer({
    minimum: 1_024,
    maximum: 16_777_216,
    default: 262_144,
    description: 'Bodies up to this size are compressed as a whole, longer ones as a stream.'
  }),
  COMPRESS_CONCURRENCY: Count(4, 'Bodies that are compressed in the thread pool at once; others are sent as they are.'),
  COMPRESS_STREAMS: Count(64, 'Compressed streams that are open at once; others are sent as they are.')
}

const upstreams = {
  UPSTREAM_CONNECTIONS: Count(64, 'Connections to one instance, without live streams.'),
  UPSTREAM_IN_FLIGHT: Count(512, 'Requests that may be at work or waiting at one instance; more are 503.'),
  UPSTREAM_STREAMS: Count(20_000, 'Live streams through one instance.'),
  UPSTREAM_CONNECT_TIMEOUT_MS: Milliseconds(1_000, 'For a connection to an instance.'),
  UPSTREAM_HEADERS_TIMEOUT_MS: Milliseconds(15_000, 'For an answer to begin, where the route declares no `timeoutMs`.'),
  UPSTREAM_IDLE_TIMEOUT_MS: Milliseconds(30_000, 'Silence between two parts of an answer.'),
  STREAM_IDLE_TIMEOUT_MS: Milliseconds(120_000, 'Silence of a live stream; above the heartbeat of its service.'),
  STREAM_MOVE_MS: Milliseconds(
    10_000,
    'The live streams of an instance that answers no health checks are ended within this time, spread over it, so that clients reconnect to another.'
  ),
  UPSTREAM_CA_FILE: Type.Optional(
    Type.String({
      minLength: 1,
      description: 'PEM file of the authorities for `https://` instances, instead of those of the system.'
    })
  ),
  MIRROR_IN_FLIGHT: Count(32, 'Copies of requests for shadow versions at once.')
}

const retries = {
  UPSTREAM_RETRIES: Type.Integer({
    minimum: 0,
    maximum: 5,
    default: 2,
    description: 'Further attempts of one request, each at another instance.'
  }),
  RETRY_BUDGET_SHARE: Type.Number({
    minimum: 0,
    maximum: 1,
    default: 0.1,
    description: 'Retries and hedges of a service, as a share of its requests.'
  }),
  RETRY_BUDGET_BURST: Type.Number({
    minimum: 1,
    maximum: 1_000,
    default: 10,
    description: 'How many of them from rest.'
  }),
  HEDGE_MIN_MS: Type.Integer({
    minimum: 0,
    maximum: 60_000,
    default: 10,
    description:
      'Least delay before a GET is also sent to a second instance; above it, the 95th percentile of the route. 0: never.'
  }),
  HEDGE_COLD_MS: Milliseconds(500, 'That delay while fewer than 50 answers of the route are known.')
}

const ejection = {
  HEALTH_INTERVAL_MS: Type.Integer({
    minimum: 0,
    maximum: 60_000,
    default: 750,
    description: 'Between two health checks of an instance, at its operations port. 0: no checks.'
  }),
  HEALTH_TIMEOUT_MS: Milliseconds(500, 'For one health check.'),
  HEALTH_PATH: Type.String({ pattern: '^/', default: '/readyz', description: 'What a health check asks for.' }),
  EJECT_MS: Milliseconds(
    500,
    'How long an instance is ejected the first time; the time doubles while it goes on failing.'
  ),
  EJECT_LONGEST_MS: Milliseconds(10_000, 'The longest such time.'),
  EJECT_FAILURES: Count(5, 'Failures in a row that eject an instance. One is enough where it refuses connections.'),
  EJECT_MAX_SHARE: Type.Number({
    minimum: 0,
    maximum: 1,
    default: 0.5,
    description:
      'Share of the instances of a service that 5xx and slowness may eject; those that cannot be reached may all be.'
  }),
  EJECT_SLOW_TIMES: Type.Number({
    minimum: 1.5,
    maximum: 1_000,
    default: 5,
    description:
      'An instance is an outlier when it is this many times slower than the median of its peers, and slower by EJECT_SLOW_BY_MS.'
  }),
  EJECT_SLOW_BY_MS: Milliseconds(100, 'See EJECT_SLOW_TIMES.'),
  SLOW_START_MS: Type.Integer({
    minimum: 0,
    maximum: 600_000,
    default: 10_000,
    description: 'An instance that is new or back has its whole share of requests after this time.'
  })
}

const overload = {
  CONCURRENCY_INITIAL: Count(128, 'Requests at work in one service before anything is known of it.'),
  CONCURRENCY_IDLE: Count(16, 'The limit does not fall below this because a service is hardly used.'),
  CONCURRENCY_MIN: Count(4, 'The lowest limit.'),
  CONCURRENCY_MAX: Count(2_048, 'The highest limit.'),
  CONCURRENCY_SLACK_MS: Milliseconds(10, 'Latency above that without load that is not taken for overload.'),
  CONCURRENCY_WAIT_MS: Milliseconds(100, 'How long a request may wait for a place in its service.'),
  CONCURRENCY_CRITICAL_WAIT_MS: Milliseconds(1_000, 'The same for signing in and refreshing.'),
  CONCURRENCY_WAITING: Count(512, 'Requests of one priority that may wait.'),
  PRESSURE_TARGET_MS: Milliseconds(100, "Delay of the gateway's own event loop above which it sheds load at the door.")
}

const limits = {
  LIMIT_USER_PER_SECOND: Rate(50, 'Requests of one user, per second.'),
  LIMIT_USER_BURST: Count(200, 'Requests of one user at once.'),
  LIMIT_ADDRESS_PER_SECOND: Rate(50, 'Requests of one address without a token, per second.'),
  LIMIT_ADDRESS_BURST: Count(200, 'The same at once.'),
  LIMIT_SIGN_UP_PER_MINUTE: Count(60, 'Sign-ups of one address, per minute.'),
  LIMIT_SIGN_UP_BURST: Count(200, 'The same at once. Many phones may be behind one address of a mobile network.'),
  LIMIT_DEVICE_PER_SECOND: Type.Number({
    minimum: 0,
    maximum: 1_000_000,
    default: 0,
    description: 'Requests of one session, per second. 0: no such limit.'
  }),
  LIMIT_DEVICE_BURST: Count(100, 'The same at once.'),
  LIMIT_CLASSES: Type.String({
    maxLength: 2_048,
    default: '',
    description:
      'Further limits for classes of routes, by user or else by address: `upload=5/20,search=10/30` is requests per second / at once.'
  }),
  LIMIT_EXEMPT: Type.String({
    default: '',
    description: 'Comma-separated addresses or CIDRs without limits by address.'
  }),
  LIMIT_LEASE: Count(1_000, 'Most requests of quota that are taken from Redis at once for one subject.'),
  LIMIT_SUBJECTS: Count(50_000, 'Users whose limits are held in memory; as many sessions, as many addresses.')
}

const cache = {
  CACHE_ENTRIES: Count(10_000, 'Answers in memory.'),
  CACHE_BYTES: Type.Integer({
    minimum: 1_048_576,
    maximum: 17_179_869_184,
    default: 67_108_864,
    description: 'Their bytes.'
  }),
  CACHE_ENTRY_BYTES: Type.Integer({
    minimum: 1_024,
    maximum: 16_777_216,
    default: 262_144,
    description: 'Largest body that is kept.'
  }),
  CACHE_LOCK_MS: Type.Integer({
    minimum: 0,
    maximum: 60_000,
    default: 1_000,
    description: 'How long a gateway waits for an answer that another gateway is fetching. 0: each fetches for itself.'
  })
}

const documents = {
  DOCUMENT_LOOK_MS: Milliseconds(5_000, 'How often the documents of services are looked at.'),
  DOCUMENT_TIMEOUT_MS: Milliseconds(1_000, 'For one look at all of them.'),
  DOCUMENT_LIMIT: Type.Integer({
    minimum: 1_024,
    maximum: 16_777_216,
    default: 2_097_152,
    description: 'Bytes of one document.'
  }),
  DOCUMENT_SERVICES: Count(64, 'Services whose documents are merged.'),
  DOCUMENT_KEEP_MS: Milliseconds(600_000, 'How long the document of a service that is away is kept.')
}

/** The settings of the gateway besides those of every app, by what they are about; docs/gateway-settings.md is made of them. */
export const SETTINGS = {
  'Network and process': network,
  'Without NATS (a fixed list of services)': alone,
  Requests: requests,
  'Answers to slow clients': answers,
  TLS: tls,
  'HTTP/2': http2,
  WebSockets: webSockets,
  Compression: compression,
  'Connections to services': upstreams,
  'Retries and hedges': retries,
  'Health and ejection': ejection,
  Overload: overload,
  Limits: limits,
  Cache: cache,
  'API documents': documents
} as const

/**
 * Durations are in milliseconds, sizes in bytes. Every bound that refuses or ends something for being too much, too large or too slow has its name here; which
 * bounds are constants in the code, and why, is in docs/gateway-clients.md ("Settings and constants").
 */
export const GatewayConfigSchema = Type.Object({
  ...BaseConfigSchema.properties,
  ...network,
  ...alone,
  ...requests,
  ...answers,
  ...tls,
  ...http2,
  ...webSockets,
  ...compression,
  ...upstreams,
  ...retries,
  ...ejection,
  ...overload,
  ...limits,
  ...cache,
  ...documents
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
