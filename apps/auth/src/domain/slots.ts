import { SkerryError } from '@skerry/contracts'
import { currentDeadline, type Deadline, deadlinePassed } from '@skerry/deadline'

type Waiting = { deadline: Deadline | undefined; go(): void; drop(): void }

/**
 * Runs work a bounded number at once, in the order it came; what is over the bound of the queue is refused with UNAVAILABLE. Work whose
 * deadline has passed when its turn comes is not begun.
 */
export function createSlots(concurrency: number, queue: number) {
  let waiting: Waiting[] = []
  let running = 0

  /** Those for whom nobody waits any more make room. */
  function sweep(): void {
    const all = waiting
    waiting = []
    for (const one of all) {
      if (isLate(one.deadline)) one.drop()
      else waiting.push(one)
    }
  }

  return {
    async run<T>(work: () => Promise<T>): Promise<T> {
      const deadline = currentDeadline()
      if (running < concurrency) running++
      else {
        if (waiting.length >= queue) sweep()
        if (waiting.length >= queue)
          throw new SkerryError('UNAVAILABLE', { detail: 'Too many concurrent sign-ins.', retryAfter: 2 })
        await new Promise<void>((resolve, reject) =>
          waiting.push({ deadline, go: resolve, drop: () => reject(deadlinePassed()) })
        )
      }
      try {
        if (isLate(deadline)) throw deadlinePassed()
        return await work()
      } finally {
        // The place goes to the next one without being free in between.
        const next = waiting.shift()
        if (next === undefined) running--
        else next.go()
      }
    }
  }
}

function isLate(deadline: Deadline | undefined): boolean {
  return deadline !== undefined && deadline.remainingMs() <= 0
}
