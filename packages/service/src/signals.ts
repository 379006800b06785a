import { type Logger, scrub } from './log.ts'
import { StartFault } from './start-fault.ts'

export type Stopping = {
  /** True from the first reason to stop. */
  readonly begun: boolean
  /** Stops because of an error: exit code 1. */
  fail(error: Error): void
}

/**
 * Runs `stop` once, at SIGTERM, at SIGINT, when the parent that we have a channel to is gone, or at an uncaught error that `survive` does
 * not take, and then exits: 0,
 * or 1 after an error or when `stop` takes longer than `boundMs`. Under a parent a Ctrl-C reaches the whole process group, so SIGINT is the
 * parent's to pass on; without one, a second signal exits at once.
 */
export function onStop(options: {
  log: Logger
  boundMs: number
  stop: () => Promise<void>
  /** Takes an error that nobody caught; true: the process goes on. */
  survive?: ((error: unknown) => boolean) | undefined
}): Stopping {
  const { log } = options
  let begun = false
  let code = 0

  const begin = (reason: string) => {
    if (begun) return
    begun = true
    log.info({ reason }, 'stopping')
    const bound = setTimeout(() => {
      log.fatal({ boundMs: options.boundMs }, 'shutdown timed out')
      process.exit(1)
    }, options.boundMs)
    bound.unref()
    options.stop().then(
      () => {
        log.info('stopped')
        process.exit(code)
      },
      (error) => {
        log.fatal({ err: error }, 'shutdown failed')
        process.exit(1)
      }
    )
  }
  const fail = (error: unknown) => {
    code = 1
    const message = error instanceof Error ? scrub(error.message) : 'failed'
    if (error instanceof StartFault) {
      log.fatal(message)
      process.stderr.write(`cannot start: ${message}\n`)
    } else log.fatal({ err: error }, message)
    begin('error')
  }
  const supervised = process.channel !== undefined && process.channel !== null
  process.on('SIGTERM', () => begin('SIGTERM'))
  process.on('SIGINT', () => {
    if (supervised) return
    if (begun) process.exit(1)
    begin('SIGINT')
  })
  if (supervised) process.on('disconnect', () => begin('the parent is gone'))
  const uncaught = (error: unknown) => {
    if (options.survive?.(error) !== true) fail(error)
  }
  process.on('uncaughtException', uncaught)
  process.on('unhandledRejection', uncaught)
  return {
    get begun() {
      return begun
    },
    fail
  }
}
