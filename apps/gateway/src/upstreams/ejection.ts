import type { Failure } from './types.ts'
import type { Upstream } from './upstream.ts'

export type EjectionOptions = {
  /** Failures in a row after which an instance is ejected; a refused connection counts for all of them. */
  consecutive: number
  /** Share of a service's instances that soft reasons may eject; hard ones may eject all but one. */
  maxShare: number
  /** An instance this many times slower than the median of its peers, and by at least so many ms, is an outlier. */
  slowTimes: number
  slowByMs: number
}

const HARD: ReadonlySet<Failure> = new Set(['refused', 'reset', 'timeout', 'hung'])

/**
 * Whether a failure ejects its instance: after `consecutive` in a row, or when more than half of its answers fail, as far as enough of its
 * peers are left. Where no peer is left an instance stays, except that one which cannot be reached is asked only by probes.
 */
export function ejects(
  upstream: Upstream,
  peers: readonly Upstream[],
  failure: Failure,
  options: EjectionOptions
): boolean {
  const enough =
    failure === 'refused' ||
    failure === 'hung' ||
    failure === 'slow' ||
    upstream.failuresInRow >= options.consecutive ||
    upstream.failureRate > 0.5
  if (!enough) return false
  if (failure === 'refused') return true
  let out = 0
  for (const peer of peers) if (peer !== upstream && peer.circuit.isOpen) out++
  const most = HARD.has(failure)
    ? peers.length - 1
    : Math.max(Math.min(1, peers.length - 1), Math.floor(peers.length * options.maxShare))
  return out < most
}

/** The instances whose answers take far longer than those of their peers. */
export function outliers(peers: readonly Upstream[], now: number, options: EjectionOptions): Upstream[] {
  if (peers.length < 2) return []
  const found: Upstream[] = []
  for (const one of peers) {
    if (one.circuit.isOpen || !one.measured(now)) continue
    const others = peers
      .filter((peer) => peer !== one && !peer.circuit.isOpen && peer.measured(now))
      .map((peer) => peer.latencyMs)
    if (others.length === 0) continue
    others.sort((a, b) => a - b)
    const median = others[Math.floor((others.length - 1) / 2)]!
    if (one.latencyMs > median * options.slowTimes && one.latencyMs > median + options.slowByMs) found.push(one)
  }
  return found
}
