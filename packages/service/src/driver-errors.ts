/**
 * Whether an error says that something we depend on is away or too slow, so that trying again later may work. By name, because this
 * package imports no driver. What a driver throws for a bug of ours (a bad query, an unhandled duplicate key) is not among them.
 */
export function isUnavailable(error: unknown): boolean {
  for (let e = error, depth = 0; e instanceof Error && depth < 5; e = e.cause, depth++) {
    if (
      e.name.startsWith('Mongo')
        ? isMongoAway(e)
        : NAMES.has(e.name) || CODES.has(String((e as { code?: unknown }).code))
    )
      return true
  }
  return false
}

const NAMES: ReadonlySet<string> = new Set([
  'TimeoutError',
  'AbortError',
  // @nats-io
  'ClosedConnectionError',
  'DrainingConnectionError',
  'ConnectionError',
  'NoResponders',
  'NoRespondersError',
  'RequestError',
  'JetStreamNotEnabled',
  // ioredis
  'MaxRetriesPerRequestError',
  'ConnectionTimeoutError'
])

const CODES: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ECONNABORTED',
  'ETIMEDOUT',
  'EPIPE',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EAI_AGAIN',
  'UND_ERR_CONNECT_TIMEOUT',
  'UND_ERR_HEADERS_TIMEOUT',
  'UND_ERR_SOCKET'
])

/** Thrown for what the caller of the driver did wrong. */
const MONGO_BUGS =
  /^Mongo(?:API|Driver|InvalidArgument|Parse|MissingCredentials|MissingDependency|Compatibility|BatchReExecution|Transaction|UnexpectedServerResponse|Runtime)?Error$/

/** Server codes of a member that steps down, shuts down, times out, conflicts with another write or has no room on its disk. */
const MONGO_CODES: ReadonlySet<number> = new Set([
  6, 7, 24, 50, 63, 89, 91, 112, 133, 134, 150, 189, 202, 234, 251, 262, 290, 314, 317, 9001, 10058, 10107, 11600,
  11602, 13388, 13435, 13436, 14031
])
const MONGO_LABELS = [
  'RetryableWriteError',
  'TransientTransactionError',
  'UnknownTransactionCommitResult',
  'RetryableError'
]

function isMongoAway(error: Error): boolean {
  if (MONGO_BUGS.test(error.name)) return false
  const server = error as { code?: unknown; hasErrorLabel?: (label: string) => boolean }
  if (MONGO_LABELS.some((label) => server.hasErrorLabel?.(label) === true)) return true
  const ofServer =
    error.name === 'MongoServerError' || error.name === 'MongoBulkWriteError' || error.name === 'MongoWriteConcernError'
  return !ofServer || (typeof server.code === 'number' && MONGO_CODES.has(server.code))
}
