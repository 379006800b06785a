import { barChart } from '../gateway/chart.ts'
import { formatTable } from '../table.ts'
import { ROUTES } from './routes.ts'
import type { SystemResult } from './run.ts'

/** A line of the kept results, as docs/figures.md and README.md show it. */
export type Row = { what: string; value: string; p50?: string; p99?: string; goal?: string; met?: boolean }

const GOALS = { idleCores: 0.05, idleSyncs: 2, memoryMb: 750, warmSeconds: 5, firstSeconds: 10 } as const

const ms = (value: number) => `${value.toFixed(value < 10 ? 1 : 0)} ms`
const micros = (value: number) => (value < 10_000 ? `${value.toFixed(0)} µs` : `${(value / 1_000).toFixed(1)} ms`)

/** The goals with what was reached, and what has no goal. */
export function systemRows({ routes, idle, memoryMb, start, live }: SystemResult): Row[] {
  const most = (what: string, value: number, text: string, limit: number, unit: string): Row => ({
    ...{ what, value: text, goal: `≤ ${limit}${unit}`, met: value <= limit }
  })
  return [
    ...routes.map(({ id, ours, bare, timesBare }): Row => {
      const { what, bare: least, limit } = ROUTES.find((route) => route.id === id)!
      return {
        what: `CPU of ${what}`,
        value: `${micros(ours.cpuMicros)}, ${timesBare.toFixed(2)} × ${micros(bare.cpuMicros)} (${least}); ${ours.perSecond.toFixed(0)}/s`,
        ...{ p50: ms(ours.p50Ms), p99: ms(ours.p99Ms), goal: `≤ ${limit.toFixed(2)} ×`, met: timesBare <= limit }
      }
    }),
    most('idle system, cores', idle.cores, idle.cores.toFixed(2), GOALS.idleCores, ''),
    most('idle system, journal syncs/s', idle.syncsPerSecond, idle.syncsPerSecond.toFixed(1), GOALS.idleSyncs, ''),
    most('memory of the whole system (PSS)', memoryMb, `${memoryMb.toFixed(0)} MB`, GOALS.memoryMb, ' MB'),
    most('npm start, the first time', start.firstSeconds, `${start.firstSeconds} s`, GOALS.firstSeconds, ' s'),
    most(
      'npm start, with data of an earlier start',
      start.warmSeconds,
      `${start.warmSeconds} s`,
      GOALS.warmSeconds,
      ' s'
    ),
    { what: '201 to the event at a follower’s SSE', value: '', p50: ms(live.p50Ms), p99: ms(live.p99Ms) }
  ]
}

/** The figures as tables: the goals, and where the CPU of each route goes. */
export function systemText(result: SystemResult): string {
  const rows = systemRows(result).map(({ what, value, p50 = '', p99 = '', goal = '', met = true }) => [
    ...[what, value, p50, p99, goal, met ? '' : 'missed']
  ])
  const names = [...new Set(result.routes.flatMap(({ ours }) => Object.keys(ours.byName)))]
  const byProcess = names.map((name) => [name, ...result.routes.map(({ ours }) => micros(ours.byName[name] ?? 0))])
  const hashes = Object.entries(result.hashes).map(([name, cpu]) => `${name} ${micros(cpu)}`)
  const right = new Set(ROUTES.map((_, column) => column + 1))
  return [
    formatTable([['what', 'value', 'p50', 'p99', 'goal', ''], ...rows]),
    '\n',
    formatTable([['CPU by process', ...ROUTES.map(({ what }) => what)], ...byProcess], right),
    `\nCPU of one hash of a password: ${hashes.join(', ')}\n`
  ].join('')
}

/** CPU of each route beside the bare program, as a chart. */
export function systemChart({ routes, machine, setup, at }: SystemResult): string {
  const rows = routes
    // A login is a hash: beside it the others would be nothing.
    .filter(({ id }) => id !== 'login')
    .flatMap(({ id, ours, bare }) => {
      const { what, bare: least } = ROUTES.find((route) => route.id === id)!
      const bar = (label: string, { cpuMicros, perSecond, p99Ms }: typeof ours, strong: boolean) => ({
        ...{ label, value: cpuMicros, columns: [perSecond.toFixed(0), p99Ms.toFixed(1)], strong }
      })
      return [bar(what, ours, true), bar(`bare Fastify and driver, ${least}`, bare, false)]
    })
  return barChart({
    ...{ title: 'CPU of a read, all processes, µs: less is better', columns: ['req/s', 'p99 ms'], rows },
    notes: [
      `${at.slice(0, 10)}: ${setup.load}, ${setup.connections} connections, ${setup.rounds} rounds of ${setup.seconds} s`,
      `${machine.cores} cores of ${machine.model}; load before: ${machine.loadBefore.toFixed(1)}`
    ]
  })
}
