import { type Instance, sharesOf, type TrafficRules } from '@skerry/service'
import { table } from '../up/table.ts'

/** Requests that gateways gave to versions since the rules of the service were set: `service version chosen|mirrored` → count. */
export type Counts = ReadonlyMap<string, number>

const SAMPLE = /^skerry_gateway_version_requests\{([^}]*)\} (\d+)/gm

/** Adds up what the metrics of several gateways say. */
export function countsOf(metrics: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>()
  for (const text of metrics)
    for (const [, labels = '', count] of text.matchAll(SAMPLE)) {
      const label = (name: string) => new RegExp(`(?:^|,)${name}="([^"]*)"`).exec(labels)?.[1]
      const key = `${label('upstream')} ${label('version')} ${label('way')}`
      counts.set(key, (counts.get(key) ?? 0) + Number(count))
    }
  return counts
}

/**
 * A line for each version that runs or that a rule names: its instances, the share of requests that it is to get, the one it did get since
 * the rules were set, and what rules say of it.
 */
export function report(
  instances: readonly Instance[],
  rules: ReadonlyArray<{ service: string; rules: TrafficRules }>,
  counts: Counts
): string {
  const services = [
    ...new Set([...instances.map(({ service }) => service), ...rules.map(({ service }) => service)])
  ].sort()
  if (services.length === 0) return 'no service is there, and no rule'
  const rows = services.flatMap((service) =>
    rowsOf(
      service,
      instances.filter((one) => one.service === service),
      rules.find((one) => one.service === service)?.rules ?? {},
      counts
    )
  )
  return table([['service', 'version', 'instances', 'share', 'got', 'rules'], ...rows])
}

function rowsOf(service: string, instances: readonly Instance[], rules: TrafficRules, counts: Counts): string[][] {
  const present = new Map<string, number>()
  for (const { version, weight } of instances) present.set(version, (present.get(version) ?? 0) + weight)
  const named = [
    ...Object.keys(rules.weights ?? {}),
    ...Object.values(rules.headers ?? {}),
    rules.mirror?.version ?? []
  ].flat()
  const versions = [...new Set([...present.keys(), ...named])].sort()
  const shares = sharesOf(rules, present) ?? present
  const total = sum(shares.values())
  const count = (version: string, way: string) => counts.get(`${service} ${version} ${way}`) ?? 0
  const counted = sum(versions.map((version) => count(version, 'chosen')))
  return versions.map((version) => {
    const got = count(version, 'chosen')
    const copies = count(version, 'mirrored')
    return [
      service,
      version,
      present.has(version) ? String(instances.filter((one) => one.version === version).length) : 'none',
      present.has(version) ? percent(shares.get(version) ?? 0, total) : '-',
      [counted === 0 ? '-' : `${percent(got, counted)} (${got})`, copies === 0 ? '' : `${copies} copies`]
        .join(' ')
        .trim(),
      saidOf(version, rules)
    ]
  })
}

function saidOf(version: string, { weights, headers, mirror }: TrafficRules): string {
  const said = [
    ...(weights?.[version] === undefined ? [] : [`weight ${weights[version]} %`]),
    ...Object.entries(headers ?? {}).flatMap(([header, to]) => (to === version ? [`header ${header}`] : [])),
    ...(mirror?.version === version ? [`mirror of ${mirror.percent} %`] : [])
  ]
  return said.join(', ')
}

function percent(part: number, total: number): string {
  return `${total === 0 ? 0 : Math.round((part / total) * 1_000) / 10} %`
}

function sum(numbers: Iterable<number>): number {
  let total = 0
  for (const number of numbers) total += number
  return total
}
