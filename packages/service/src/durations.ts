import type { Metric, MetricValueWithName } from '@prometheus-io/client'

type Cell = { readonly labels: Record<string, string>; readonly counts: Float64Array; sum: number }

/**
 * A histogram by `status` and labels that are fixed for a recorder, which observes in 30 ns: the cell of a status is found by index, where the
 * client's Histogram checks labels and builds a key for each observation (3 µs of a request's 40). It renders as one of the client's own.
 */
export class RouteDurations {
  readonly name: string
  readonly help: string
  readonly type = 'histogram'
  readonly aggregator = 'sum'
  private readonly bounds: readonly number[]
  private cells: Cell[] = []
  /** By their labels: two with the same would be one series twice. */
  private readonly made = new Map<string, (status: number, seconds: number) => void>()
  private readonly resets: Array<() => void> = []

  constructor(options: { name: string; help: string; buckets: readonly number[] }) {
    this.name = options.name
    this.help = options.help
    this.bounds = options.buckets
  }

  /** As the client's registry takes it. */
  asMetric(): Metric {
    return this as unknown as Metric
  }

  /** Observes answers that share these labels, e.g. those of one route. */
  recorder(labels: Readonly<Record<string, string>>): (status: number, seconds: number) => void {
    const key = JSON.stringify(Object.entries(labels).sort())
    const known = this.made.get(key)
    if (known !== undefined) return known
    let byStatus: Array<Cell | undefined> = []
    this.resets.push(() => {
      byStatus = []
    })
    const { bounds } = this
    const record = (status: number, seconds: number) => {
      let cell = byStatus[status]
      if (cell === undefined) {
        cell = {
          labels: { ...labels, status: String(status) },
          counts: new Float64Array(bounds.length + 1),
          sum: 0
        }
        byStatus[status] = cell
        this.cells.push(cell)
      }
      let i = 0
      while (i < bounds.length && seconds > bounds[i]!) i++
      cell.counts[i]! += 1
      cell.sum += seconds
    }
    this.made.set(key, record)
    return record
  }

  reset(): void {
    this.cells = []
    for (const reset of this.resets) reset()
  }

  async get() {
    const values: Array<MetricValueWithName<string>> = []
    for (const { labels, counts, sum } of this.cells) {
      let below = 0
      const bucket = (le: number | string, value: number) =>
        values.push({ labels: { ...labels, le }, value, metricName: `${this.name}_bucket` })
      for (const [i, bound] of this.bounds.entries()) {
        below += counts[i]!
        bucket(bound, below)
      }
      below += counts[this.bounds.length]!
      bucket('+Inf', below)
      values.push({ labels: { ...labels }, value: sum, metricName: `${this.name}_sum` })
      values.push({ labels: { ...labels }, value: below, metricName: `${this.name}_count` })
    }
    return { name: this.name, help: this.help, type: this.type, values, aggregator: this.aggregator }
  }
}
