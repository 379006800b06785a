import { barChart } from '../gateway/chart.ts'
import { formatTable } from '../table.ts'
import { labelOf } from './parts.ts'
import type { EventsResult } from './run.ts'

const ms = (value: number) => `${value.toFixed(value < 10 ? 1 : 0)} ms`
const ROWS = ['safe', 'plain'] as const

const priceOf = ({ throughputRatio, modes: { safe, plain } }: EventsResult): string =>
  `The guarantees leave ${(throughputRatio * 100).toFixed(0)} % of the plain throughput, and add ${ms(safe.p50 - plain.p50)} at the median.`

/** The figures as a table, and the price of safety in a sentence. */
export function eventsText(result: EventsResult): string {
  const { lightPerSecond } = result.setup
  const head = ['events', 'per second', `p50 at ${lightPerSecond}/s`, 'p99']
  const rows = ROWS.map((mode) => {
    const { eventsPerSecond, p50, p99 } = result.modes[mode]
    return [labelOf(mode), eventsPerSecond.toFixed(0), ms(p50), ms(p99)]
  })
  return `${formatTable([head, ...rows], new Set([1, 2, 3]))}${priceOf(result)}\n\n${instancesText(result.instances)}`
}

/** A consumer whose handler waits, from a backlog, by its instances. */
function instancesText({ rows, rounds }: EventsResult['instances']): string {
  const head = ['a handler that waits 5 ms, from a backlog', 'per second', 'of one instance']
  const lines = rows.map(({ partitions, instances, eventsPerSecond, ofOne }) => [
    `${instances} instance${instances === 1 ? '' : 's'}, ${partitions} partition${partitions === 1 ? '' : 's'}`,
    eventsPerSecond.toFixed(0),
    `${ofOne.toFixed(2)} x`
  ])
  return `${formatTable([head, ...lines], new Set([1, 2]))}Medians of ${rounds} rounds. Goal: 1.8 x with 2, 3.4 x with 4.\n`
}

/** The same as a chart. */
export function eventsChart(result: EventsResult): string {
  const { machine, setup, at } = result
  return barChart({
    title: 'Events per second, from a write to its effect in another service',
    columns: ['p50', 'p99'],
    rows: ROWS.map((mode) => {
      const { eventsPerSecond, p50, p99 } = result.modes[mode]
      return { label: labelOf(mode), value: eventsPerSecond, columns: [ms(p50), ms(p99)], strong: mode === 'safe' }
    }),
    notes: [
      priceOf(result),
      `Medians of ${setup.rounds} rounds in turns; latencies at ${setup.lightPerSecond} events/s. ${at.slice(0, 10)}`,
      `${machine.cores} cores of ${machine.model}; load before: ${machine.loadBefore.toFixed(1)}`
    ]
  })
}
