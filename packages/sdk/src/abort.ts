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
