/** The time of a run: what is done, what runs and what is left, each as it was expected on a quiet machine. Seconds. */
export type Clock = {
  /** Expected time of what has ended, and the time that it took. */
  doneExpected: number
  doneTook: number
  /** Expected time of the round that runs, how long it has run, and which part of it is done as far as it says (0 … 1). */
  runningExpected: number
  runningFor: number
  runningDone: number
  /** Expected time of all that has not begun. */
  leftExpected: number
}

/** Of what a part is expected to take so much must have been seen before its own pace says something. */
const SEEN = 0.1

/** How long the rest is going to take, at the pace that this machine has shown. */
export function timeLeft(clock: Clock): number {
  const { doneExpected, doneTook, runningExpected, runningFor, runningDone, leftExpected } = clock
  const said = runningDone >= SEEN ? runningFor / runningDone : undefined
  const pace = doneExpected > 0 ? doneTook / doneExpected : (said ?? runningExpected) / Math.max(1, runningExpected)
  const running = said ?? Math.max(runningExpected * pace, runningFor * 1.1)
  return Math.max(0, running - runningFor) + leftExpected * pace
}

/** `45 s`, `3 min 05 s`, `1 h 12 min`. */
export function formatTime(seconds: number): string {
  const whole = Math.round(seconds)
  if (whole < 60) return `${whole} s`
  if (whole < 3_600) return `${Math.floor(whole / 60)} min ${String(whole % 60).padStart(2, '0')} s`
  return `${Math.floor(whole / 3_600)} h ${String(Math.floor((whole % 3_600) / 60)).padStart(2, '0')} min`
}
