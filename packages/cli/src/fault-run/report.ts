import { table } from '../up/table.ts'
import { formatRounds } from './choose.ts'
import type { Part } from './parts.ts'
import type { Ended } from './run-part.ts'
import { formatTime } from './time-left.ts'

/** The parts with what they show and how long they take. */
export function listParts(parts: readonly Part[]): string {
  const minutes = parts.reduce((sum, part) => sum + part.minutes, 0)
  const rows = parts.map((part) => [
    part.name,
    part.rounds === undefined ? '' : formatRounds(part.rounds),
    formatTime(part.minutes * 60),
    part.proves
  ])
  return `${table([['part', 'rounds', 'time', 'shows that'], ...rows])}\n\nAbout ${formatTime(minutes * 60)} on 2 cores that do nothing else.`
}

/** How a part ended: all its rounds, those of earlier runs among them. */
export type Outcome = { part: Part; ended: readonly Ended[]; earlier: number }

/** The closing table, what was not run and why, and the line `N passed, N failed, N skipped`, which counts rounds. */
export function summarise(outcomes: readonly Outcome[]): { text: string; failed: number; skipped: number } {
  const count = (ended: readonly Ended[], ...results: Ended['result'][]) =>
    ended.filter(({ result }) => results.includes(result)).length
  const rows = outcomes.map(({ part, ended, earlier }) => [
    part.name,
    String(count(ended, 'passed')),
    String(count(ended, 'failed', 'late')),
    String(count(ended, 'skipped')),
    formatTime(ended.reduce((sum, { seconds }) => sum + seconds, 0)),
    earlier === 0 ? '' : `${earlier} from an earlier run`
  ])
  const whys = outcomes.flatMap(({ part, ended }) => reasons(part, ended))
  const all = outcomes.flatMap(({ ended }) => ended)
  const [passed, failed, skipped] = [count(all, 'passed'), count(all, 'failed', 'late'), count(all, 'skipped')]
  const lines = [
    table([['part', 'passed', 'failed', 'skipped', 'time', ''], ...rows]),
    ...(whys.length === 0 ? [] : ['', ...whys]),
    '',
    `${passed} passed, ${failed} failed, ${skipped} skipped`
  ]
  return { text: lines.join('\n'), failed, skipped }
}

/** What did not pass and why: rounds that share a reason in a line. */
function reasons(part: Part, ended: readonly Ended[]): string[] {
  const open = ended.filter(({ result }) => result !== 'passed')
  const groups = Map.groupBy(open, ({ result, why }) => `${result} ${why}`)
  return [...groups.values()].map((group) => {
    const { result, why } = group[0]!
    const rounds = group.flatMap(({ round }) => round ?? [])
    const which = rounds.length === 0 ? '' : ` round${rounds.length > 1 ? 's' : ''} ${formatRounds(rounds)}`
    return `${result}: ${part.name}${which}: ${why}`
  })
}
