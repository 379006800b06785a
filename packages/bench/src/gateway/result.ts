import { cpus, loadavg, release, totalmem } from 'node:os'
import { type Measured, median, type Sample } from './measure.ts'

/** A row as it is kept; `timesOurs` is its CPU in relation to ours, the median of the rounds' own ratios. */
export type ResultRow = { id: string; label: string } & ((Sample & { timesOurs?: number }) | { why: string })

/** A goal and what was reached of it: a ratio of CPU, or a count. */
export type Goal = { what: string; limit: number; unit: '×' | ''; value?: number; met?: boolean; why?: string }

/** What a run is told with: all that another machine's figures may differ by. */
export type Machine = {
  model: string
  cores: number
  memoryGb: number
  kernel: string
  node: string
  /** Processes that were running or waiting before the run, the mean of a minute. */
  loadBefore: number
}

export type GatewayResult = {
  at: string
  machine: Machine
  setup: { load: string; connections: number; origin: string; rounds: number; requests: number }
  rows: ResultRow[]
  goals: Goal[]
  /** A line for each peer that is not installed. */
  missing: string[]
}

/** A count, or why there is none. */
export type Counted = { value: number } | { why: string }

export const MISSES = 1_000

const RATIOS = [
  { what: 'CPU beside bare Envoy', of: 'ours', to: 'envoy', limit: 1 },
  { what: 'CPU beside bare @fastify/http-proxy', of: 'ours', to: 'http-proxy', limit: 0.55 },
  { what: 'CPU of a cached public GET beside nginx proxying', of: 'ours-cached', to: 'nginx', limit: 1.3 },
  { what: 'CPU with token and limit beside our own without', of: 'ours', to: 'ours-open', limit: 1.15 }
]

/** The machine as it is now. */
export function describeMachine(): Machine {
  return {
    model: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    memoryGb: Math.round(totalmem() / 1e9),
    // What a distribution adds to the version tells nothing.
    kernel: /^\d+\.\d+/.exec(release())?.[0] ?? release(),
    node: process.version,
    loadBefore: Number(loadavg()[0]!.toFixed(1))
  }
}

/** Rows with their relation to ours. */
export function resultRows(measured: readonly Measured[]): ResultRow[] {
  const ours = measured.find(({ spec }) => spec.id === 'ours')
  return measured.map((row) => {
    const { id, label } = row.spec
    if ('why' in row) return { id, label, why: row.why }
    const timesOurs = ours === undefined ? Number.NaN : cpuRatio(row, ours)
    return { id, label, ...row.median, ...(Number.isNaN(timesOurs) ? {} : { timesOurs }) }
  })
}

/** The goals of the plan with what was reached. */
export function goalsOf(measured: readonly Measured[], misses: Counted): Goal[] {
  const ratios = RATIOS.map(({ what, of, to, limit }): Goal => {
    const rows = [of, to].map((id) => measured.find(({ spec }) => spec.id === id))
    const absent = [of, to].find((_, index) => rows[index] === undefined || 'why' in rows[index])
    if (absent !== undefined) return { what, limit, unit: '×', why: `${absent} was not measured` }
    return reached({ what, limit, unit: '×' }, cpuRatio(rows[0]!, rows[1]!))
  })
  const count: Goal = { what: `requests to the service for ${MISSES} misses at once`, limit: 1, unit: '' }
  return [...ratios, 'why' in misses ? { ...count, why: misses.why } : reached(count, misses.value)]
}

function reached(goal: Goal, value: number): Goal {
  return { ...goal, value, met: value <= goal.limit }
}

/** The median of the ratios of rounds: what disturbs a round falls on both sides of its ratio. */
function cpuRatio(of: Measured, to: Measured): number {
  if ('why' in of || 'why' in to) return Number.NaN
  return median(of.samples.map(({ cpuMicros }, round) => cpuMicros / to.samples[round]!.cpuMicros))
}
