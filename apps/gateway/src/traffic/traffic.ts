import type { IncomingHttpHeaders } from 'node:http'
import type { Metrics, TrafficRules, VersionsPresent } from '@skerry/service'
import { draw, planOf, type Share, stay } from './plan.ts'

/** Names the version a tester wants, among those that the service's rules name. */
export const VERSION_HEADER = 'x-skerry-version'

/** Which version of a service a request goes to. */
export type Traffic = {
  /** Takes rules over for a service; undefined ends them. Requests under way are not touched. */
  set(service: string, rules: TrafficRules | undefined): void
  /**
   * The version whose instances alone may be asked; undefined where any may. A tester's header comes first, then the shares: a known user
   * stays with a version. Give the same map until the live versions change: what follows from it is kept.
   *
   * @param userId of a verified caller only
   * @param random in [0, 1)
   */
  choose(
    service: string,
    present: VersionsPresent,
    headers: IncomingHttpHeaders,
    userId: string | undefined,
    random?: number
  ): string | undefined
  /** The version that gets a copy of this request, if one does. */
  mirrorOf(service: string, random?: number): string | undefined
}

type Entry = {
  readonly rules: TrafficRules
  readonly testers: ReadonlyArray<readonly [header: string, version: string]>
  readonly named: ReadonlySet<string>
  present: VersionsPresent | undefined
  plan: readonly Share[] | undefined
  readonly chosen: Map<string, number>
  readonly mirrored: Map<string, number>
}

/** @param metrics where it tells how many requests each version got since its service's rules were set */
export function createTraffic(metrics?: Metrics): Traffic {
  const entries = new Map<string, Entry>()
  metrics?.gauge(
    'skerry_gateway_version_requests',
    "Requests by version since the rules of its service's traffic were set; `way` is chosen or mirrored.",
    ['upstream', 'version', 'way'],
    (gauge) => {
      gauge.reset()
      for (const [upstream, { chosen, mirrored }] of entries) {
        for (const [version, count] of chosen) gauge.set({ upstream, version, way: 'chosen' }, count)
        for (const [version, count] of mirrored) gauge.set({ upstream, version, way: 'mirrored' }, count)
      }
    }
  )

  return {
    set(service, rules) {
      if (rules === undefined) entries.delete(service)
      else entries.set(service, entryOf(rules))
    },
    choose(service, present, headers, userId, random = Math.random()) {
      const entry = entries.get(service)
      if (entry === undefined) return undefined
      if (entry.present !== present) {
        entry.present = present
        entry.plan = planOf(service, entry.rules, present)
      }
      const version = wanted(entry, present, headers) ?? planned(entry.plan, userId, random)
      if (version !== undefined) count(entry.chosen, version)
      return version
    },
    mirrorOf(service, random = Math.random()) {
      const entry = entries.get(service)
      const mirror = entry?.rules.mirror
      if (entry === undefined || mirror === undefined || random * 100 >= mirror.percent) return undefined
      if (entry.present?.has(mirror.version) === false) return undefined
      count(entry.mirrored, mirror.version)
      return mirror.version
    }
  }
}

function entryOf(rules: TrafficRules): Entry {
  const testers = Object.entries(rules.headers ?? {})
  const named = new Set([...Object.keys(rules.weights ?? {}), ...testers.map(([, version]) => version)])
  if (rules.mirror !== undefined) named.add(rules.mirror.version)
  return { rules, testers, named, present: undefined, plan: undefined, chosen: new Map(), mirrored: new Map() }
}

function wanted(entry: Entry, present: VersionsPresent, headers: IncomingHttpHeaders): string | undefined {
  const asked = headers[VERSION_HEADER]
  if (typeof asked === 'string' && entry.named.has(asked) && present.has(asked)) return asked
  for (const [header, version] of entry.testers)
    if (headers[header] !== undefined && present.has(version)) return version
  return undefined
}

function planned(plan: readonly Share[] | undefined, userId: string | undefined, random: number): string | undefined {
  if (plan === undefined) return undefined
  return userId === undefined ? draw(plan, random) : stay(plan, userId)
}

function count(counts: Map<string, number>, version: string): void {
  counts.set(version, (counts.get(version) ?? 0) + 1)
}
