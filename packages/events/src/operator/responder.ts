import type { Msg, NatsConnection } from '@nats-io/transport-node'
import type { Log } from '../metrics.ts'
import { type Commands, type OperatorAnswer, OperatorError } from './protocol.ts'

/** Requests worked on at once; further ones are answered with BUSY. */
const AT_ONCE = 32

export type Responder = {
  /** Something was recorded: every instance is to look at once. Best effort, since all look by themselves now and then. */
  wake(): void
  /** Calls `listener` when this consumer's instances are to look. Returns what ends that. */
  onLook(listener: () => void): () => void
  stop(): void
}

/**
 * Answers operators' requests on `ops.<service>.<topic>.<command>`; one of all instances gets each. Commands reject with OperatorError for
 * what the operator can do something about; anything else is logged and answered as UNAVAILABLE.
 */
export function startResponder(
  nc: NatsConnection,
  options: { service: string; topic: string; log: Log; commands: Commands }
): Responder {
  const { commands, log } = options
  const prefix = `ops.${options.service}.${options.topic}`
  const listeners = new Set<() => void>()
  let running = 0
  const failed = (error: Error) => log.warn({ err: error, subject: prefix }, 'failed to subscribe to operator requests')

  async function answer(message: Msg): Promise<void> {
    let answered: OperatorAnswer
    running++
    try {
      const name = message.subject.slice(prefix.length + 1)
      const run = Object.hasOwn(commands, name) ? commands[name] : undefined
      if (run === undefined) throw new OperatorError('BAD_REQUEST', 'this consumer knows no such command')
      if (running > AT_ONCE) throw new OperatorError('BUSY', 'too many requests at once: try again')
      answered = { ok: true, value: await run(read(message)) }
    } catch (error) {
      if (!(error instanceof OperatorError))
        log.error({ err: error, subject: message.subject }, 'operator request failed')
      answered = {
        ok: false,
        code: error instanceof OperatorError ? error.code : 'UNAVAILABLE',
        message: (error as Error).message
      }
    } finally {
      running--
    }
    message.respond(JSON.stringify(answered))
  }

  // A push consumer delivers to any subject, whoever made it; its messages keep the subject that they were published under.
  const isOurs = (message: Msg) => message.subject.startsWith(`${prefix}.`)
  const requests = nc.subscribe(`${prefix}.*`, {
    queue: 'ops',
    callback(error, message) {
      if (error !== null) failed(error)
      // A wake-up is no request: it reaches the other subscription.
      else if (isOurs(message) && message.subject !== `${prefix}.look`)
        answer(message).catch((fault: unknown) => log.warn({ err: fault }, 'failed to reply to an operator request'))
    }
  })
  const looks = nc.subscribe(`${prefix}.look`, {
    callback(error, message) {
      if (error !== null) failed(error)
      else if (isOurs(message)) for (const listener of listeners) listener()
    }
  })

  return {
    wake() {
      if (!nc.isClosed()) nc.publish(`${prefix}.look`)
    },
    onLook(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    stop() {
      requests.unsubscribe()
      looks.unsubscribe()
      listeners.clear()
    }
  }
}

function read(message: Msg): unknown {
  try {
    return message.data.length === 0 ? {} : message.json()
  } catch (error) {
    throw new OperatorError('BAD_REQUEST', `the request is not JSON: ${(error as Error).message}`)
  }
}
