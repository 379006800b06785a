import { SkerryError } from '@skerry/contracts'

/** Runs work one after the other for each key. */
export type Turns = <T>(key: string, work: () => Promise<T>) => Promise<T>

/**
 * Writers of one hot document would make each other's transactions fail and start again; in line they don't. Between instances the database
 * still decides, with one writer each.
 *
 * @param maxWaiting how many may stand in one line; the next ones are told to come back
 */
export function createTurns(maxWaiting = 1_000): Turns {
  const lines = new Map<string, { last: Promise<unknown>; length: number }>()

  return async (key, work) => {
    const line = lines.get(key) ?? { last: Promise.resolve(), length: 0 }
    if (line.length >= maxWaiting) {
      throw new SkerryError('UNAVAILABLE', { detail: 'Too many concurrent changes to this resource.', retryAfter: 1 })
    }
    lines.set(key, line)
    line.length++
    const mine = line.last.then(work)
    // Who comes after waits for the end of this turn, however it ended.
    line.last = mine.then(ended, ended)
    try {
      return await mine
    } finally {
      line.length--
      if (line.length === 0) lines.delete(key)
    }
  }
}

function ended(): void {}
