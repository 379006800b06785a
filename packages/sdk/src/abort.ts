/**
 * Why a signal aborted. React Native up to 0.86 and Safari before 15.4 have signals that know no `reason`, and none has
 * `throwIfAborted`, `any` or `timeout` everywhere (README, "Platforms"): nothing here may use them.
 */
export function reasonOf(signal: AbortSignal): unknown {
  if (signal.reason !== undefined) return signal.reason
  const error = new Error('The operation was aborted')
  error.name = 'AbortError'
  return error
}

/**
 * What `work` ends with, or the signal's reason as soon as it aborts. The work goes on: others may wait for it too, as for the one refresh of
 * all calls.
 */
export async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return work
  let onAbort = () => {}
  const aborted = new Promise<never>((_, reject) => {
    onAbort = () => reject(reasonOf(signal))
    if (signal.aborted) onAbort()
    else signal.addEventListener('abort', onAbort, { once: true })
  })
  try {
    return await Promise.race([work, aborted])
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}
