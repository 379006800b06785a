import type { LoadGenerator, LoadTarget } from './load-generator.ts'
import { usageOf } from './process-tree.ts'
import type { RowSpec } from './rows.ts'

/** One round of one row. CPU is that of all processes of the server, user and system. */
export type Sample = { cpuMicros: number; requestsPerSecond: number; p50Ms: number; p99Ms: number; rssMb: number }

/** A row whose server runs. */
export type LiveRow = { spec: RowSpec; target: LoadTarget; pid: number }

/** A row with its rounds in order and their medians, or why there are none. */
export type Measured = { spec: RowSpec } & ({ samples: Sample[]; median: Sample } | { why: string })

/**
 * At least so many that V8 has optimised what there is to optimise: services run for days. The first tells how fast a row is. With it alone the
 * first rounds of our gateway took 25 to 28 µs a request and the fifth 21 to 23, while those of plain proxies did not change.
 */
const WARM_UPS = [60_000, 400_000]
/** Before the warm-up has told how fast a row is; low, so that a slow one does not run for minutes. */
const FIRST_RATE = 10_000

/**
 * Measures rows in rounds that take turns, so that what else the machine does falls on all of them alike. A row that answers something
 * other than 2xx or breaks off is out, and says why.
 *
 * @param requests fewest requests of a row in a round
 */
export async function measureRows(
  rows: readonly LiveRow[],
  load: LoadGenerator,
  { rounds, requests }: { rounds: number; requests: number },
  say: (line: string) => void
): Promise<Measured[]> {
  const samples = new Map<LiveRow, Sample[]>(rows.map((row) => [row, []]))
  const faults = new Map<LiveRow, string>()
  const rates = new Map<LiveRow, number>()
  const turn = async (row: LiveRow, amount: number): Promise<Sample | undefined> => {
    try {
      const sample = await measureOnce(row, load, amount, rates.get(row) ?? FIRST_RATE)
      rates.set(row, sample.requestsPerSecond)
      return sample
    } catch (error) {
      faults.set(row, (error as Error).message)
      say(`${row.spec.id}: ${(error as Error).message}`)
      return undefined
    }
  }
  say(`warm-up of ${rows.length} rows`)
  for (const amount of WARM_UPS) for (const row of rows) if (!faults.has(row)) await turn(row, amount)
  for (let round = 1; round <= rounds; round++) {
    // Back and forth, so that a machine that grows slower or faster favours none.
    for (const row of round % 2 === 1 ? rows : rows.toReversed()) {
      if (faults.has(row)) continue
      const sample = await turn(row, requests)
      if (sample === undefined) continue
      samples.get(row)?.push(sample)
      say(`round ${round} of ${rounds}: ${row.spec.id} ${sample.cpuMicros.toFixed(1)} µs CPU a request`)
    }
  }
  return rows.map((row) => {
    const why = faults.get(row)
    const taken = samples.get(row) ?? []
    return why === undefined ? { spec: row.spec, samples: taken, median: medianSample(taken) } : { spec: row.spec, why }
  })
}

async function measureOnce(row: LiveRow, load: LoadGenerator, requests: number, rate: number): Promise<Sample> {
  const before = await usageOf(row.pid)
  const result = await load.run(row.target, requests, rate)
  const after = await usageOf(row.pid)
  if (result.failures > 0) throw new Error(`${result.failures} bad answers or socket errors of ${result.requests}`)
  return {
    cpuMicros: ((after.cpuSeconds - before.cpuSeconds) / result.requests) * 1e6,
    requestsPerSecond: result.requests / result.seconds,
    p50Ms: result.p50Ms,
    p99Ms: result.p99Ms,
    rssMb: after.rssBytes / 1e6
  }
}

/** The median of each figure by itself. */
export function medianSample(samples: readonly Sample[]): Sample {
  const of = (figure: keyof Sample) => median(samples.map((sample) => sample[figure]))
  return {
    cpuMicros: of('cpuMicros'),
    requestsPerSecond: of('requestsPerSecond'),
    p50Ms: of('p50Ms'),
    p99Ms: of('p99Ms'),
    rssMb: of('rssMb')
  }
}

/** The middle value, or the mean of the two middle ones; NaN of none. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  if (sorted.length === 0) return Number.NaN
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}
