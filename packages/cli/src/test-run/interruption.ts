/**
 * Runs work that can be interrupted by Ctrl-C or a signal: its signal is aborted then, and it is to end what it has started.
 *
 * @returns what the work returned, or 130 when it was interrupted
 */
export async function withInterruption(
  say: (line: string) => void,
  work: (signal: AbortSignal) => Promise<number>
): Promise<number> {
  const controller = new AbortController()
  const interrupt = () => controller.abort()
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
  for (const name of signals) process.on(name, interrupt)
  // Whoever started this is gone, in whatever way.
  if (process.connected) process.on('disconnect', interrupt)
  try {
    const code = await work(controller.signal)
    if (!controller.signal.aborted) return code
    say('interrupted')
    return 130
  } finally {
    for (const name of signals) process.off(name, interrupt)
    process.off('disconnect', interrupt)
  }
}
