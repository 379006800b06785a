import autocannon from 'autocannon'

/** One row of an HTTP load: requests per second, and milliseconds. */
export type Load = { requestsPerSecond: number; p50: number; p99: number; errors: number }

export type LoadOptions = {
  url: string
  seconds: number
  connections: number
  /** The next request; called for each. */
  next(): { method: 'GET' | 'POST'; path: string; headers: Record<string, string>; body?: string }
}

/** Loads a URL for a bounded time. Answers other than 2xx count as errors, and a row with errors is no figure. */
export async function load(options: LoadOptions): Promise<Load> {
  const result = await autocannon({
    url: options.url,
    connections: options.connections,
    duration: options.seconds,
    requests: [{ setupRequest: (request) => ({ ...request, ...options.next() }) }]
  })
  return {
    requestsPerSecond: result.requests.average,
    p50: result.latency.p50,
    p99: result.latency.p99,
    errors: result.errors + result.non2xx
  }
}

/** The middle one of several rounds, by requests per second. */
export function median(rounds: readonly Load[]): Load {
  const sorted = [...rounds].sort((a, b) => a.requestsPerSecond - b.requestsPerSecond)
  return sorted[sorted.length >> 1]!
}

/** The value below which a share of the samples lies. */
export function quantile(samples: readonly number[], share: number): number {
  const sorted = [...samples].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN
}
