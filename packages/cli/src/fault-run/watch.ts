import type { Part } from './parts.ts'
import type { Heard } from './read-rounds.ts'
import type { Ended } from './run-part.ts'
import { formatTime, timeLeft } from './time-left.ts'

/** Lines of progress are at least so far apart, except where a round ends. */
const APART_MS = 10_000
/** What says nothing for so long is shown to run all the same. */
const SILENT_MS = 60_000

export type Watch = {
  begin(part: Part): void
  heard(heard: Heard): void
  ended(ended: Ended): void
  stop(): void
}

/** Shows which part of how many runs, in which round, how far it is, for how long, and how long the rest is going to take. */
export function watch(parts: readonly Part[], write: (line: string) => void, now = () => performance.now()): Watch {
  const startedAt = now()
  const expected = (part: Part) => (part.minutes * 60) / Math.max(1, part.rounds?.length ?? 1)
  let index = -1
  let position = 0
  let [doneExpected, doneTook] = [0, 0]
  let roundAt = startedAt
  let progress: Extract<Heard, { type: 'progress' }> | undefined
  let doing = 'starts'
  let shownAt = startedAt
  let timer: NodeJS.Timeout | undefined

  function left(): number {
    const part = parts[index]!
    const rounds = (part.rounds?.length ?? 1) - position
    const later = parts.slice(index + 1).reduce((sum, { minutes }) => sum + minutes * 60, 0)
    return timeLeft({
      ...{ doneExpected, doneTook },
      runningExpected: rounds <= 0 ? 0 : expected(part),
      runningFor: rounds <= 0 ? 0 : (now() - roundAt) / 1_000,
      runningDone: progress === undefined ? 0 : progress.done / progress.of,
      leftExpected: Math.max(0, rounds - 1) * expected(part) + later
    })
  }

  function show(what: string, shown = position): void {
    shownAt = now()
    const part = parts[index]!
    const round = part.rounds?.[shown]
    const place = round === undefined ? '' : ` round ${round} (${shown + 1} of ${part.rounds!.length})`
    const times = `${formatTime((now() - startedAt) / 1_000)}, about ${formatTime(left())} left`
    write(`[${index + 1}/${parts.length}] ${part.name}${place}: ${what} · ${times}`)
  }
  const tick = () => {
    if (now() - shownAt >= SILENT_MS) show(progress?.text ?? doing)
  }

  return {
    begin(part) {
      index++
      position = 0
      doing = 'starts'
      roundAt = now()
      progress = undefined
      timer ??= setInterval(tick, 1_000)
      show(part.proves)
    },
    heard(heard) {
      // The part's stores or its system have been started by then: that is no time of a round.
      if (heard.type === 'round begins') {
        roundAt = now()
        doing = 'runs'
      }
      if (heard.type === 'test begins') doing = heard.name
      if (heard.type !== 'progress') return
      progress = heard
      if (now() - shownAt >= APART_MS) show(heard.text)
    },
    ended({ result, seconds, why }) {
      if (result === 'passed') {
        doneExpected += expected(parts[index]!)
        doneTook += seconds
      }
      position++
      roundAt = now()
      progress = undefined
      show(`${result} after ${formatTime(seconds)}${why === undefined ? '' : `: ${why}`}`, position - 1)
    },
    stop() {
      clearInterval(timer)
    }
  }
}
