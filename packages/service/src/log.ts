import type { FastifyBaseLogger, FastifyRequest } from 'fastify'
import { type DestinationStream, type Logger, pino, stdSerializers } from 'pino'
import { logLines } from './log-lines.ts'

export type { Logger } from 'pino'

const SECRETS = [
  'authorization',
  'cookie',
  'password',
  'currentPassword',
  'accessToken',
  'refreshToken',
  'token',
  'secret'
]
const REDACTED = SECRETS.flatMap((name) => [name, `*.${name}`, `*.*.${name}`])

/**
 * A pino logger that writes JSON lines with `service` and `instance`, and censors secrets down to two levels of nesting.
 * `destination` is standard output unless given; what cannot be written there, as on a full disk, is left out and counted.
 */
export function createLogger(
  options: { service: string; instance: string; level: string },
  destination?: DestinationStream
): Logger {
  const base = { service: options.service, instance: options.instance, pid: process.pid }
  const note = (lost: number, why: string) =>
    `${JSON.stringify({ level: 40, time: Date.now(), ...base, lost, why, msg: 'log lines could not be written' })}\n`
  return pino(
    {
      level: options.level,
      base,
      redact: { paths: REDACTED, censor: '[redacted]' },
      serializers: { err: serializeError }
    },
    destination ?? logLines(1, note)
  )
}

/** Without the user and password of any URL in it: drivers put connection strings into their messages. */
export function scrub(text: string): string {
  return text.replace(/(:\/\/)[^\s/@:]*:[^\s/@]*@/g, '$1***@')
}

function serializeError(error: Error) {
  const plain = stdSerializers.err(error)
  return { ...plain, message: scrub(String(plain.message)), stack: scrub(String(plain.stack)) }
}

/**
 * The logger of one request. It makes its pino child with `requestId`, `traceId` and `userId` when something is logged:
 * most requests log nothing, and a child costs as much as answering does.
 */
export class RequestLog {
  private readonly root: Logger
  private readonly request: FastifyRequest
  private made: Logger | undefined
  private madeFor: string | undefined

  constructor(root: Logger, request: FastifyRequest) {
    this.root = root
    this.request = request
  }

  private get target(): Logger {
    const userId = this.request.caller?.userId
    if (this.made === undefined || this.madeFor !== userId) {
      const { traceId, spanId } = this.request.trace
      this.made = this.root.child({ requestId: this.request.id, traceId, spanId, userId })
      this.madeFor = userId
    }
    return this.made
  }

  get level(): string {
    return this.root.level
  }
  // pino's methods are overloaded; they take what they take.
  child(...args: unknown[]): FastifyBaseLogger {
    return (this.target.child as (...a: unknown[]) => FastifyBaseLogger)(...args)
  }
  private write(level: 'fatal' | 'error' | 'warn' | 'info' | 'debug' | 'trace', args: unknown[]): void {
    if (this.root.isLevelEnabled(level)) (this.target[level] as (...a: unknown[]) => void)(...args)
  }
  fatal(...args: unknown[]): void {
    this.write('fatal', args)
  }
  error(...args: unknown[]): void {
    this.write('error', args)
  }
  warn(...args: unknown[]): void {
    this.write('warn', args)
  }
  info(...args: unknown[]): void {
    this.write('info', args)
  }
  debug(...args: unknown[]): void {
    this.write('debug', args)
  }
  trace(...args: unknown[]): void {
    this.write('trace', args)
  }
  silent(): void {}
}
