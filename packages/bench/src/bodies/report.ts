import { machineText } from '../gateway/report.ts'
import { formatTable } from '../table.ts'
import type { BodiesResult } from './run.ts'

const HEAD = ['proxy', 'direction', 'CPU µs/MB', '× nginx', 'MB/s', 'memory +MB']

/** A result as text. */
export function bodiesText({ machine, options, rows, missing }: BodiesResult): string {
  const nginx = rows.filter(({ server }) => server.startsWith('nginx'))
  const cells = rows.map(({ server, direction, cpuMicrosPerMb, mbPerSecond, grownMb }) => {
    const beside = nginx.find((row) => row.direction === direction)
    const times = beside === undefined ? '' : (cpuMicrosPerMb / beside.cpuMicrosPerMb).toFixed(2)
    return [server, direction, cpuMicrosPerMb.toFixed(0), times, mbPerSecond.toFixed(0), grownMb.toFixed(1)]
  })
  return [
    `${machineText(machine)}\n`,
    `bodies of ${options.megabytes} MB, one at a time over HTTP/1.1, medians of ${options.rounds} rounds; memory is the most of all\n\n`,
    formatTable([HEAD, ...cells], new Set([2, 3, 4, 5])),
    ...missing.map((line) => `${line}\n`)
  ].join('')
}
