import type { Upstream } from './upstream.ts'

/** Why there is nobody to ask: `away`: none is live or none can be reached; `full`: each has all the work it may have. */
export type Unavailable = 'away' | 'full'

/**
 * Of two instances drawn at random the one where a request costs less (Mitzenmacher, "The Power of Two Choices in Randomized Load
 * Balancing", 2001), mostly: with twice the other's cost one is still drawn in a fifth of cases. Always taking the lesser would send
 * everybody to whoever was luckier last, and never find out that the other has recovered.
 *
 * Instances whose circuit is open are passed over. One that may be probed is given a request that can be repeated (`repeatable`), so that
 * nobody sees the probe fail; other requests probe only where nobody else is left. Where all are ejected (the one that was well left, or
 * died) those that can be reached are asked as if they were well: better a slow answer than none (Envoy's panic threshold).
 */
export function select(
  upstreams: readonly Upstream[],
  request: { stream: boolean; repeatable: boolean },
  now: number,
  tried: readonly Upstream[] | undefined
): Upstream | Unavailable {
  const count = upstreams.length
  if (count === 0) return 'away'
  const { stream } = request
  if (count > 1) {
    const first = Math.floor(Math.random() * count)
    const a = upstreams[first]!
    const b = upstreams[(first + 1 + Math.floor(Math.random() * (count - 1))) % count]!
    const better = preferred(a, b, stream, now)
    if (isWell(better, stream, tried)) return better
    const other = better === a ? b : a
    if (isWell(other, stream, tried) && !probes(upstreams, request, now, tried)) return other
  } else if (isWell(upstreams[0]!, stream, tried)) return upstreams[0]!
  return search(upstreams, request, now, tried)
}

/**
 * The slow way, when some are not well: a due probe for a request that can be repeated, else the cheapest that is well, else any probe, else
 * the cheapest of those that are ejected but can be reached.
 */
function search(
  upstreams: readonly Upstream[],
  request: { stream: boolean; repeatable: boolean },
  now: number,
  tried: readonly Upstream[] | undefined
): Upstream | Unavailable {
  const { stream, repeatable } = request
  let best: Upstream | undefined
  let probe: Upstream | undefined
  let last: Upstream | undefined
  let full = false
  let panic = true
  for (const upstream of upstreams) {
    if (!upstream.circuit.isOpen) panic = false
    if (tried?.includes(upstream) === true) continue
    if (!upstream.accepts(stream)) full = true
    else if (!upstream.circuit.isOpen) {
      if (best === undefined || upstream.cost(stream, now) < best.cost(stream, now)) best = upstream
    } else if (upstream.mayProbe(now)) probe ??= upstream
    else if (!upstream.unreachable && (last === undefined || upstream.cost(stream, now) < last.cost(stream, now)))
      last = upstream
  }
  // A retry must not be spent on a probe.
  if (probe !== undefined && (best === undefined || (repeatable && tried === undefined))) {
    probe.circuit.probe(now)
    return probe
  }
  if (best !== undefined) return best
  if (panic && last !== undefined) return last
  return full ? 'full' : 'away'
}

function probes(
  upstreams: readonly Upstream[],
  request: { repeatable: boolean },
  now: number,
  tried: readonly Upstream[] | undefined
): boolean {
  return request.repeatable && tried === undefined && upstreams.some((one) => one.circuit.isOpen && one.mayProbe(now))
}

function preferred(a: Upstream, b: Upstream, stream: boolean, now: number): Upstream {
  const costA = a.cost(stream, now) ** 2
  const costB = b.cost(stream, now) ** 2
  return Math.random() * (costA + costB) < costA ? b : a
}

function isWell(upstream: Upstream, stream: boolean, tried: readonly Upstream[] | undefined): boolean {
  return !upstream.circuit.isOpen && upstream.accepts(stream) && tried?.includes(upstream) !== true
}
