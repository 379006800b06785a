import { SkerryError } from '@skerry/contracts'

/** Runs work a bounded number at once, in the order it came; what is over the bound of the queue is refused with UNAVAILABLE. */
export function createSlots(concurrency: number, queue: number) {
  const waiting: (() => void)[] = []
  let running = 0

  return {
    async run<T>(work: () => Promise<T>): Promise<T> {
      if (running < concurrency) running++
      else {
        if (waiting.length >= queue)
          throw new SkerryError('UNAVAILABLE', { detail: 'Too many sign-ins at once.', retryAfter: 2 })
        await new Promise<void>((resolve) => waiting.push(resolve))
      }
      try {
        return await work()
      } finally {
        // The place goes to the next one without being free in between.
        const next = waiting.shift()
        if (next === undefined) running--
        else next()
      }
    }
  }
}
