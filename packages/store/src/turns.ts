import { SkerryError } from '@skerry/contracts'
import { deadlinePassed, remainingMs } from '@skerry/deadline'

/**
 * Runs `work` when it has the turn of each of `keys`: one after the other for a key, in the order they came. Equal keys are one turn, and
 * several are taken in one order by everybody, so that no two pieces of work wait for each other.
 *
 * Rejects with UNAVAILABLE when the line of a key is full, or when the turn has not come within `waitMs` or the caller's deadline.
 */
export type Turns = <T>(keys: string | readonly string[], work: () => Promise<T>) => Promise<T>

export type TurnsOptions = {
  /** How many may stand in one line; the next ones are told to come back. */
  maxWaiting?: number
  /** How long somebody without a nearer deadline waits for a turn, ms. */
  waitMs?: number
  /** How long a turn lasts at most, ms: work that takes longer goes on, and so does the line. */
  holdMs?: number
  /** From 0 to 1; for tests. */
  random?: () => number
}

/** Who finds a line full is told to come back within so many seconds: not all at once, since only some find room then. */
const SPREAD_S = 3

/** A turn that is held, and those who wait for it, the first in front. */
type Line = Set<() => void>
type Release = () => void

/**
 * Writers of one hot document would make each other's transactions fail and start again; in line they don't. Between instances, and
 * beside work that has outlived its turn, the database still decides, so nothing may rest on a turn but speed.
 */
export function createTurns(options: TurnsOptions = {}): Turns {
  const { maxWaiting = 1_000, waitMs = 10_000, holdMs = 15_000, random = Math.random } = options
  const lines = new Map<string, Line>()

  function take(key: string): Release | Promise<Release> {
    const line = lines.get(key)
    if (line === undefined) {
      lines.set(key, new Set())
      return hold(key)
    }
    if (line.size >= maxWaiting)
      throw new SkerryError('UNAVAILABLE', {
        detail: 'Too many concurrent changes to this resource.',
        retryAfter: 1 + Math.floor(random() * SPREAD_S),
        // It says nothing of the instance, which the gateway would else leave alone (docs/gateway-upstreams.md, "Ejection").
        headers: { 'x-skerry-blame': 'caller' }
      })
    return new Promise((resolve, reject) => {
      const go = () => {
        clearTimeout(timer)
        resolve(hold(key))
      }
      const late = () => {
        line.delete(go)
        reject(deadlinePassed())
      }
      const timer = setTimeout(late, Math.max(0, Math.min(waitMs, remainingMs())))
      line.add(go)
    })
  }

  function hold(key: string): Release {
    const release = () => {
      if (ended) return
      ended = true
      clearTimeout(timer)
      next(key)
    }
    let ended = false
    const timer = setTimeout(release, holdMs)
    return release
  }

  function next(key: string): void {
    const line = lines.get(key)
    const [first] = line ?? []
    if (line === undefined || first === undefined) {
      lines.delete(key)
      return
    }
    line.delete(first)
    first()
  }

  return async (keys, work) => {
    const held: Release[] = []
    try {
      for (const key of inOrder(keys)) held.push(await take(key))
      return await work()
    } finally {
      for (const release of held.reverse()) release()
    }
  }
}

function inOrder(keys: string | readonly string[]): readonly string[] {
  return typeof keys === 'string' ? [keys] : [...new Set(keys)].sort()
}
