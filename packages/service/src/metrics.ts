import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from '@prometheus-io/client'
import { RouteDurations } from './durations.ts'

/** Seconds; the steps keep quantiles of both a cached read and a slow dependency readable. */
const DURATION_BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]

/**
 * How often the delay of the event loop is measured, ms. Each time wakes the process: with the library's 10 ms that was most of what an idle one
 * costs.
 */
const LOOP_DELAY_MS = 100

/** Observes the answers of one route: status and seconds. */
export type RouteRecorder = (status: number, seconds: number) => void

/** The metrics of one process. A metric that exists under a name already is handed out again. */
export type Metrics = {
  readonly registry: Registry
  counter<L extends string>(name: string, help: string, labelNames?: readonly L[]): Counter<L>
  /** `collect` runs before each scrape, to set a value that is read rather than counted. */
  gauge<L extends string>(
    name: string,
    help: string,
    labelNames?: readonly L[],
    collect?: (gauge: Gauge<L>) => void | Promise<void>
  ): Gauge<L>
  histogram<L extends string>(name: string, help: string, labelNames?: readonly L[], buckets?: number[]): Histogram<L>
  /** `skerry_http_request_duration_seconds{method,route,status}` of one route. */
  route(method: string, path: string): RouteRecorder
  /** A histogram of answers by status, for hot paths: ask for a recorder once for each set of further labels. */
  durations(name: string, help: string): { recorder(labels: Readonly<Record<string, string>>): RouteRecorder }
  /** The Prometheus text of everything. */
  text(): Promise<string>
}

/** Makes the registry of a process; every metric gets `service` and `instance`. `processMetrics: false` leaves out Node's own. */
export function createMetrics(options: { service: string; instance: string; processMetrics?: boolean }): Metrics {
  const registry = new Registry()
  registry.setDefaultLabels({ service: options.service, instance: options.instance })
  if (options.processMetrics !== false)
    collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: LOOP_DELAY_MS })
  const registers = [registry]
  const existing = <M>(name: string) => registry.getSingleMetric(name) as M | undefined

  const durations = new RouteDurations({
    name: 'skerry_http_request_duration_seconds',
    help: 'Time to answer, by route and status.',
    buckets: DURATION_BUCKETS
  })
  registry.registerMetric(durations.asMetric())

  return {
    registry,
    counter: <L extends string>(name: string, help: string, labelNames: readonly L[] = []) =>
      existing<Counter<L>>(name) ?? new Counter<L>({ name, help, labelNames, registers }),
    gauge: <L extends string>(
      name: string,
      help: string,
      labelNames: readonly L[] = [],
      collect?: (gauge: Gauge<L>) => void | Promise<void>
    ) => {
      const found = existing<Gauge<L>>(name)
      if (found !== undefined) return found
      const gauge: Gauge<L> = new Gauge<L>({
        name,
        help,
        labelNames,
        registers,
        ...(collect === undefined ? {} : { collect: () => collect(gauge) })
      })
      return gauge
    },
    histogram: <L extends string>(
      name: string,
      help: string,
      labelNames: readonly L[] = [],
      buckets = DURATION_BUCKETS
    ) => existing<Histogram<L>>(name) ?? new Histogram<L>({ name, help, labelNames, buckets, registers }),
    route: (method, path) => durations.recorder({ method, route: path }),
    durations(name, help) {
      const made = new RouteDurations({ name, help, buckets: DURATION_BUCKETS })
      registry.registerMetric(made.asMetric())
      return made
    },
    text: () => registry.metrics()
  }
}
