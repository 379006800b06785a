import { formatTable } from '../table.ts'
import { type BarRow, barChart } from './chart.ts'
import type { GatewayResult, Goal, Machine, ResultRow } from './result.ts'

const HEAD = ['row', 'CPU µs', '× ours', 'req/s', 'p50 ms', 'p99 ms', 'MB']
const NUMBERS = new Set([1, 2, 3, 4, 5, 6])

/** A result as text: what it was measured on, rows, goals, and how to install what was missing. */
export function reportText(result: GatewayResult): string {
  const rows = result.rows.filter((row) => !('why' in row)).map(cells)
  const absent = result.rows.flatMap((row) => ('why' in row ? [`not measured: ${row.label}: ${row.why}\n`] : []))
  const goals = result.goals.map((goal) => [goal.what, goalText(goal), reachedText(goal)])
  return [
    `${machineText(result.machine)}\n${setupText(result)}\n\n`,
    formatTable([HEAD, ...rows], NUMBERS),
    ...absent,
    '\n',
    formatTable([['goal', '', ''], ...goals]),
    ...result.missing.map((line) => `${line}\n`)
  ].join('')
}

/** The same as a chart of CPU a request, the least first. */
export function reportChart(result: GatewayResult): string {
  const bars = result.rows
    .flatMap((row): BarRow[] => {
      if ('why' in row) return []
      const [label, , , rate, , p99, memory] = cells(row) as [string, string, string, string, string, string, string]
      return [{ label, value: row.cpuMicros, columns: [rate, p99, memory], strong: row.id.startsWith('ours') }]
    })
    .sort((a, b) => a.value - b.value)
  return barChart({
    title: 'CPU of one GET through each proxy, µs: less is better',
    columns: ['req/s', 'p99 ms', 'MB'],
    rows: bars,
    notes: [machineText(result.machine), setupText(result)]
  })
}

/** What was reached of a goal, for people. */
export function reachedText(goal: Goal): string {
  if (goal.value === undefined) return `not measured: ${goal.why}`
  return `${goal.unit === '' ? goal.value : goal.value.toFixed(2)}${goal.unit}${goal.met ? '' : ', missed'}`
}

export function goalText(goal: Goal): string {
  return `≤ ${goal.unit === '' ? goal.limit : goal.limit.toFixed(2)}${goal.unit}`
}

function cells(row: ResultRow): string[] {
  if ('why' in row) return [row.label]
  const { cpuMicros, timesOurs, requestsPerSecond, p50Ms, p99Ms, rssMb } = row
  return [
    row.label,
    cpuMicros.toFixed(1),
    timesOurs?.toFixed(2) ?? '',
    requestsPerSecond.toFixed(0),
    p50Ms.toFixed(1),
    p99Ms.toFixed(1),
    rssMb.toFixed(0)
  ]
}

export function machineText({ model, cores, memoryGb, kernel, node, loadBefore }: Machine): string {
  return `${model}, ${cores} cores, ${memoryGb} GB, Linux ${kernel}, Node ${node.slice(1)}; load before ${loadBefore}`
}

function setupText({ at, setup }: GatewayResult): string {
  const { load, connections, origin, rounds, requests } = setup
  const day = at.slice(0, 10)
  return `${day}: ${load}, ${connections} connections, 0.8 KB from ${origin}, medians of ${rounds} rounds of ≥ ${requests} requests`
}
