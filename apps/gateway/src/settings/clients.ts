import Type from 'typebox'
import { Bytes, Count, Milliseconds, Rate } from './kinds.ts'

// What the gateway takes from clients and gives them, and how much of it.

export const network = {
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

export const requests = {
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
  REQUEST_TIMEOUT_MS: Milliseconds(
    30_000,
    'For a whole request to arrive, with its body unless that passes through. Not less than HEADERS_TIMEOUT_MS.'
  ),
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

export const answers = {
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

export const tls = {
  TLS_CERT_FILE: Type.Optional(
    Type.String({ description: 'PEM file of the certificate chain. With TLS_KEY_FILE the port speaks TLS.' })
  ),
  TLS_KEY_FILE: Type.Optional(Type.String({ description: 'PEM file of the private key.' })),
  TLS_ONLY: Type.Boolean({ default: true, description: 'With TLS: refuse plain connections.' }),
  TLS_RELOAD_MS: Milliseconds(60_000, 'How often the two files are checked for changes.'),
  TLS_TICKET_SECONDS: Count(3_600, 'Seconds for which a ticket may resume a TLS session.')
}

export const http2 = {
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

export const webSockets = {
  WS_MESSAGE_LIMIT: Count(65_536, 'Bytes of one client message; larger ones close the connection with 1009.'),
  WS_EARLY_BYTES: Count(16_384, 'Bytes that a client may send before its handshake is accepted.')
}

export const compression = {
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

export const limits = {
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
