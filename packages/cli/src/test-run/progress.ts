import type { Durations } from './durations.ts'

/** How far a run is, from what its files took earlier. */
export type Progress = { ended(path: string): void; line(elapsedS: number): string }

/** @param paths the files that are to run, so many at once as `jobs` says */
export function createProgress(paths: readonly string[], durations: Durations, jobs: number): Progress {
  const left = new Set(paths)
  const known = paths.map((path) => durations[path]).filter((s) => s !== undefined)
  const mean = known.length === 0 ? 0 : known.reduce((a, b) => a + b, 0) / known.length
  return {
    ended: (path) => void left.delete(path),
    line(elapsedS) {
      const work = [...left].reduce((sum, path) => sum + (durations[path] ?? mean), 0)
      // No file can be shared out: the longest one bounds the rest.
      const longest = Math.max(0, ...[...left].map((path) => durations[path] ?? mean))
      const rest = mean === 0 ? '' : `, about ${inWords(Math.max(work / jobs, longest))} left`
      return `… ${paths.length - left.size} of ${paths.length} files after ${inWords(elapsedS)}${rest}`
    }
  }
}

/** `95` is `1 min 35 s`. */
export function inWords(seconds: number): string {
  const whole = Math.round(seconds)
  if (whole < 60) return `${whole} s`
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`
}
