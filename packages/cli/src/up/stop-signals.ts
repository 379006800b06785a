/** Ctrl-C in a terminal may arrive more than once: from the terminal itself, and passed on by npm and by the first step. */
const ECHO_MS = 1_000

export type StopSignals = {
  /** Aborted when we are told to stop. */
  readonly stop: AbortSignal
  /** Aborted when we are told again, by somebody who doesn't want to wait. */
  readonly force: AbortSignal
  /** Stop for a reason of our own. */
  abort(): void
}

/** Listens for SIGINT, SIGTERM and SIGHUP, and for the end of the process that started this one with a channel. */
export function stopSignals(): StopSignals {
  const stop = new AbortController()
  const force = new AbortController()
  let toldAt = 0
  const told = () => {
    if (stop.signal.aborted) {
      if (Date.now() - toldAt > ECHO_MS) force.abort()
      return
    }
    toldAt = Date.now()
    stop.abort()
  }
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, told)
  process.once('disconnect', told)
  // Listening for its end is no reason to stay.
  process.channel?.unref()
  return { stop: stop.signal, force: force.signal, abort: () => stop.abort() }
}
