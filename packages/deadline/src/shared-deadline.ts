import type { Deadline } from './deadline.ts'

/** The deadline of work that several wait for: the latest of theirs. */
export type SharedDeadline = Deadline & {
  /** One more waits; undefined waits without a bound. */
  add(deadline: Deadline | undefined): void
}

/** Without anybody who waits there is no time left. */
export function createSharedDeadline(): SharedDeadline {
  const waiting = new Set<Deadline>()
  let unbounded = false
  return {
    add(deadline) {
      if (deadline === undefined) unbounded = true
      else waiting.add(deadline)
    },
    remainingMs() {
      if (unbounded) return Number.POSITIVE_INFINITY
      let latest = 0
      for (const deadline of waiting) latest = Math.max(latest, deadline.remainingMs())
      return latest
    }
  }
}
