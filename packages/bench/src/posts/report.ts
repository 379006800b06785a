import { barChart } from '../gateway/chart.ts'
import { formatTable } from '../table.ts'
import type { PostsResult } from './run.ts'

/** What is to be reached. */
export const GOALS = { timesBare: 3, perSecond: 350, commands: 12, syncs: 3, idleCores: 0.05, idleSyncs: 2 } as const

type Line = { what: string; ours: string; bare: string; goal: string; met: boolean }

const n = (value: number) => value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0)

/** The goals with what was reached. */
export function linesOf({ ours, bare, timesBare, counts, idle }: PostsResult): Line[] {
  const most = (what: string, value: number, other: string, limit: number, unit = ''): Line => ({
    ...{ what, ours: `${n(value)}${unit}`, bare: other, goal: `≤ ${limit}${unit}`, met: value <= limit }
  })
  return [
    most('CPU of a post beside the bare program', timesBare, '1', GOALS.timesBare, ' ×'),
    { what: 'CPU of a post', ours: `${n(ours.totalMs)} ms`, bare: `${n(bare.totalMs)} ms`, goal: '', met: true },
    {
      ...{ what: 'posts/s until the last effect is in', ours: n(ours.perSecond), bare: n(bare.perSecond) },
      ...{ goal: `≥ ${GOALS.perSecond}`, met: ours.perSecond >= GOALS.perSecond }
    },
    most('MongoDB commands a post', counts.ours.commands, n(counts.bare.commands), GOALS.commands),
    most('journal syncs a post', counts.ours.syncs, n(counts.bare.syncs), GOALS.syncs),
    {
      ...{ what: 'documents inserted a post', ours: n(counts.ours.inserted), bare: n(counts.bare.inserted) },
      ...{ goal: '', met: true }
    },
    most('idle system, cores', idle.cores, '', GOALS.idleCores),
    most('idle system, journal syncs/s', idle.syncsPerSecond, '', GOALS.idleSyncs)
  ]
}

/** The figures as tables. */
export function postsText(result: PostsResult): string {
  const rows = linesOf(result).map(({ what, ours, bare, goal, met }) => [what, ours, bare, goal, met ? '' : 'missed'])
  const cpu = Object.entries(result.ours.cpuMs).map(([name, value]) => [name, `${n(value)} ms`])
  return `${formatTable([['post', 'Skerry', 'bare', 'goal', ''], ...rows], new Set([1, 2]))}\n${formatTable([['CPU of a post', ''], ...cpu], new Set([1]))}`
}

/** Where the CPU of a post goes, as a chart. */
export function postsChart({ ours, bare, machine, setup, at }: PostsResult): string {
  const rows = [
    ...Object.entries(ours.cpuMs).map(([label, value]) => ({ label, value, columns: [], strong: false })),
    { label: 'all of Skerry', value: ours.totalMs, columns: [], strong: true },
    { label: 'bare Fastify and driver, two inserts', value: bare.totalMs, columns: [], strong: false }
  ]
  return barChart({
    ...{ title: 'CPU of a post with all that follows, ms', columns: [], rows },
    notes: [
      `${setup.rounds} rounds of ${setup.posts} posts over ${setup.connections} connections; ${setup.followers} followers. ${at.slice(0, 10)}`,
      `${machine.cores} cores of ${machine.model}; load before: ${machine.loadBefore.toFixed(1)}`
    ]
  })
}
