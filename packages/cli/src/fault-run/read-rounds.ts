/** What a fault test says while it runs. A test that begins is one of a file without rounds. */
export type Heard =
  | { type: 'round begins'; round: number }
  | { type: 'test begins'; name: string }
  | { type: 'round ended'; round: number; ok: boolean; seconds: number }
  | { type: 'skipped'; name: string; why: string }
  | { type: 'progress'; done: number; of: number; text: string }

/**
 * Reads a line of a fault test's TAP: its rounds are top-level subtests called `round N` (and more, after a colon), and within them comments
 * `progress 3/12 deaths, …` say how far they are. What is skipped at the top is a round, or all there is to a part that has none.
 */
export function readLine(line: string): Heard | undefined {
  const begins = /^# Subtest: round (\d+)\b/.exec(line)?.[1]
  if (begins !== undefined) return { type: 'round begins', round: Number(begins) }
  const name = /^# Subtest: (.+)$/.exec(line)?.[1]
  if (name !== undefined) return { type: 'test begins', name }
  const [, skipped, why = ''] = /^ok \d+ - (.*?) # SKIP ?(.*)$/.exec(line) ?? []
  if (skipped !== undefined) return { type: 'skipped', name: skipped, why }
  const [, not, round, ms = 0] = /^(not )?ok \d+ - round (\d+)\b.*?(?:# time=([\d.]+)ms)?$/.exec(line) ?? []
  if (round !== undefined)
    return { type: 'round ended', round: Number(round), ok: not === undefined, seconds: Number(ms) / 1_000 }
  const [, done, of, rest] = /^ *# progress (\d+)\/(\d+)(.*)$/.exec(line) ?? []
  return done === undefined
    ? undefined
    : { type: 'progress', done: Number(done), of: Number(of), text: `${done}/${of}${rest}` }
}
