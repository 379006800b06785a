import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { EventsResult } from './events/run.ts'
import { goalText, reachedText } from './gateway/report.ts'
import type { GatewayResult } from './gateway/result.ts'
import { linesOf } from './posts/report.ts'
import type { PostsResult } from './posts/run.ts'
import { systemRows } from './system/report.ts'
import type { SystemResult } from './system/run.ts'

/** The last results that were kept, as they stand in packages/bench/results. */
export type Results = {
  readonly system: SystemResult
  readonly posts: PostsResult
  readonly gateway: GatewayResult
  readonly events: EventsResult
}

const REPOSITORY = join(import.meta.dirname, '../../..')
const BEGIN = '<!-- figures: written by `npm run bench -- figures` -->'
const END = '<!-- /figures -->'

/** The files that hold figures, and how each shows them. */
const FILES: readonly [string, (results: Results) => string][] = [
  ['docs/figures.md', fullFigures],
  ['README.md', shortFigures]
]

/** Every figure as Markdown tables: the system, a post, the gateway's goals and rows, and events. */
export function fullFigures({ system, posts, gateway, events }: Results): string {
  return [
    `### System, ${dayOf(system.at)}`,
    markdown(['what', 'measured', 'p50', 'p99', 'goal'], systemLines(system)),
    `### A post with all that follows, ${dayOf(posts.at)}`,
    markdown(
      ['what', 'Skerry', 'a bare program', 'goal'],
      linesOf(posts).map(({ what, ours, bare, goal }) => [what, ours, bare, goal])
    ),
    `### Gateway goals, ${dayOf(gateway.at)}`,
    markdown(
      ['what', 'measured', 'goal'],
      gateway.goals.map((goal) => [goal.what, reachedText(goal), goalText(goal)])
    ),
    '### Gateway beside other proxies',
    markdown(
      ['proxy', 'CPU µs per request', 'requests/s', 'p50', 'p99', 'MB'],
      gateway.rows.map((row) =>
        'why' in row
          ? [row.label, `not measured: ${row.why}`, '', '', '', '']
          : [
              ...[row.label, row.cpuMicros.toFixed(1), row.requestsPerSecond.toFixed(0)],
              ...[`${row.p50Ms.toFixed(1)} ms`, `${row.p99Ms.toFixed(1)} ms`, row.rssMb.toFixed(0)]
            ]
      )
    ),
    `### Events, ${dayOf(events.at)}`,
    markdown(['what', 'measured', 'p50', 'p99'], eventRows(events))
  ].join('\n\n')
}

/** The figures that a newcomer asks for first. */
export function shortFigures({ system, posts, gateway, events }: Results): string {
  const ofSystem = systemLines(system).map(([what, value, p50, p99, goal]) => [
    what!,
    value || `p50 ${p50}, p99 ${p99}`,
    goal!
  ])
  const ofPosts = linesOf(posts)
    .slice(0, 3)
    .map(({ what, ours, goal }) => [what, ours, goal])
  const goals = gateway.goals.slice(0, 3).map((goal) => [`gateway: ${goal.what}`, reachedText(goal), goalText(goal)])
  const [what = '', value = ''] = eventRows(events)[0] ?? []
  return markdown(['what', 'measured', 'goal'], [...ofSystem, ...ofPosts, ...goals, [what, value, '']])
}

/** A text with what stands between its two markers replaced. Throws when it does not have both, in this order, once. */
export function withFigures(text: string, figures: string): string {
  const parts = text.split(BEGIN)
  const rest = parts[1]?.split(END)
  if (parts.length !== 2 || rest?.length !== 2) throw new Error(`the text needs ${BEGIN} and ${END} once each`)
  return `${parts[0]}${BEGIN}\n\n${figures}\n\n${END}${rest[1]}`
}

/** Each file with figures as it is and as the results want it. */
export async function figureFiles(): Promise<{ path: string; before: string; after: string }[]> {
  const results = await readResults()
  return Promise.all(
    FILES.map(async ([path, render]) => {
      const before = await readFile(join(REPOSITORY, path), 'utf8')
      return { path, before, after: withFigures(before, render(results)) }
    })
  )
}

/** Writes the figures of the kept results into the files that show them; answers which have changed. */
export async function writeFigures(): Promise<string[]> {
  const changed = (await figureFiles()).filter(({ before, after }) => before !== after)
  for (const { path, after } of changed) await writeFile(join(REPOSITORY, path), after)
  return changed.map(({ path }) => path)
}

/** The results that were kept last. */
export async function readResults(): Promise<Results> {
  const read = async (name: string) =>
    JSON.parse(await readFile(join(REPOSITORY, 'packages/bench/results', name), 'utf8'))
  const names = ['system', 'posts', 'gateway', 'events']
  const results = await Promise.all(names.map(async (name) => [name, await read(`${name}.json`)]))
  return Object.fromEntries(results)
}

function systemLines(system: SystemResult): string[][] {
  return systemRows(system).map(({ what, value, p50 = '', p99 = '', goal = '' }) => [what, value, p50, p99, goal])
}

function eventRows({ modes, throughputRatio }: EventsResult): string[][] {
  const ms = (value: number) => `${value.toFixed(1)} ms`
  const row = (what: string, { eventsPerSecond, p50, p99 }: EventsResult['modes']['safe'], more = '') => [
    ...[what, `${eventsPerSecond.toFixed(0)}/s${more}`, ms(p50), ms(p99)]
  ]
  return [
    row('events through outbox, stream and inbox', modes.safe, ` (${(throughputRatio * 100).toFixed(0)} % of without)`),
    row('the same without outbox and inbox', modes.plain)
  ]
}

function markdown(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell) => cell.trim().replaceAll('|', '\\|')).join(' | ')} |`
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n')
}

function dayOf(at: string): string {
  return at.slice(0, 10)
}
