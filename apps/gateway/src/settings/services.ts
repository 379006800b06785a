import Type from 'typebox'
import { Count, Milliseconds } from './kinds.ts'

// Where services are, and how they are asked.

export const alone = {
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

export const upstreams = {
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

export const retries = {
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

export const ejection = {
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

export const overload = {
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

export const cache = {
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

export const documents = {
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
