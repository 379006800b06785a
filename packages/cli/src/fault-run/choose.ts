import { parseRounds } from '@skerry/testing'
import type { Part } from './parts.ts'

/**
 * The parts that are named, and of them the rounds. `system-kills` stands for all of system-kills-1, system-kills-2, …, and `gateway`, which is
 * no part's name, for all that begin with it.
 *
 * @param rounds `3`, `2-5`, `1,4-6`; parts that have none of these are left out
 * @throws for a name or a round that is none's
 */
export function chooseParts(parts: readonly Part[], names: readonly string[], rounds?: string): Part[] {
  const named = new Set(names.flatMap((name) => partsCalled(parts, name)))
  const chosen = names.length === 0 ? [...parts] : parts.filter((part) => named.has(part))
  if (rounds === undefined) return chosen
  const wanted = parseRounds(rounds)
  const there = chosen.flatMap((part) => part.rounds ?? [])
  const missing = wanted.find((round) => !there.includes(round))
  if (missing !== undefined) throw new Error(`there is no round ${missing}: ${describeRounds(chosen)}`)
  return chosen
    .map((part) =>
      withRounds(
        part,
        (part.rounds ?? []).filter((round) => wanted.includes(round))
      )
    )
    .filter((part) => part.rounds?.length !== 0)
}

/** The part with these of its rounds, and the time that they take. */
export function withRounds(part: Part, rounds: readonly number[]): Part {
  return { ...part, rounds, minutes: (part.minutes * rounds.length) / Math.max(1, part.rounds?.length ?? 0) }
}

/** Numbers as a person writes them: `1-3,5`. */
export function formatRounds(rounds: readonly number[]): string {
  const spans: [number, number][] = []
  for (const round of rounds) {
    const last = spans.at(-1)
    if (last !== undefined && last[1] === round - 1) last[1] = round
    else spans.push([round, round])
  }
  return spans.map(([from, to]) => (from === to ? `${from}` : `${from}-${to}`)).join(',')
}

function partsCalled(parts: readonly Part[], asked: string): Part[] {
  const rests = parts.flatMap((part) => {
    if (part.name === asked) return [{ part, rest: '' }]
    return part.name.startsWith(`${asked}-`) ? [{ part, rest: part.name.slice(asked.length + 1) }] : []
  })
  if (rests.length === 0)
    throw new Error(`there is no part "${asked}": there are ${parts.map((part) => part.name).join(', ')}`)
  // gateway-rolling is itself, and not gateway-rolling-services as well.
  const itself = rests.filter(({ rest }) => /^\d*$/.test(rest))
  return (itself.length > 0 ? itself : rests).map(({ part }) => part)
}

function describeRounds(parts: readonly Part[]): string {
  const lines = parts.map(
    (part) => `${part.name} has ${part.rounds === undefined ? 'none' : formatRounds(part.rounds)}`
  )
  return lines.join(', ')
}
