const GRACE_MS = 1000

/** Aborts a moment after `signal`: nothing new is begun, but what is on its way gets its answer into the journal. */
export function afterGrace(signal: AbortSignal): { signal: AbortSignal; abortSoon: () => void; stop: () => void } {
  const later = new AbortController()
  let timer: NodeJS.Timeout | undefined
  const abortSoon = () => {
    timer ??= setTimeout(() => later.abort(signal.reason), GRACE_MS)
  }
  if (signal.aborted) later.abort(signal.reason)
  signal.addEventListener('abort', abortSoon, { once: true })
  return {
    signal: later.signal,
    abortSoon,
    stop() {
      clearTimeout(timer)
      signal.removeEventListener('abort', abortSoon)
      later.abort(signal.reason)
    }
  }
}
