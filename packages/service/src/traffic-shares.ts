import type { TrafficRules } from './traffic.ts'

/** Versions that are live, with the weight of their instances together. */
export type VersionsPresent = ReadonlyMap<string, number>

/**
 * How rules spread the requests over the versions that are there, as shares of which only the ratio counts: those with a weight get it,
 * the others share the rest by their instances. What a version that nobody runs would get goes to the others; a version without a share
 * gets something only when no other is left. Undefined where there is nothing to choose: the instances alone decide.
 */
export function sharesOf(rules: TrafficRules, present: VersionsPresent): Map<string, number> | undefined {
  if (present.size < 2) return undefined
  // A map, since versions are whatever services say they are.
  const weights = new Map(Object.entries(rules.weights ?? {}))
  if (rules.mirror !== undefined && !weights.has(rules.mirror.version)) weights.set(rules.mirror.version, 0)
  let left = 100
  let others = 0
  let named = false
  for (const [version, weight] of present) {
    const percent = weights.get(version)
    if (percent === undefined) others += weight
    else {
      left -= percent
      named = true
    }
  }
  if (!named) return undefined
  const shares = new Map<string, number>()
  for (const [version, weight] of present) {
    const share = weights.get(version) ?? (Math.max(0, left) * weight) / others
    if (share > 0) shares.set(version, share)
  }
  return shares.size === 0 ? undefined : shares
}
