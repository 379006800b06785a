import { SkerryError } from '@skerry/contracts'
import { currentDeadline, type Deadline, deadlinePassed } from '@skerry/deadline'

type Waiting = { deadline: Deadline | undefined; go(): void; drop(reason: SkerryError): void }

/** The last of those who are told to come back is told to come so many seconds later, at most. */
const SPREAD_S = 10

/**
 * Tells the gateway that a crowd of one address is refused, not everybody: by its `Retry-After` alone it would leave the whole instance alone
 * for as long, and the crowd would be in the way of others' sign-ins and refreshes after all.
 */
const OF_CALLER = { 'x-skerry-blame': 'caller' }

/**
 * Runs work a bounded number at once. Who waits is served in turn by `from`, an address as a rule: a crowd behind one of them waits for itself,
 * not the others for it. When the line is full, the newest of whoever has most in it makes room, or is refused, with UNAVAILABLE and a
 * `Retry-After` that differs, so that they do not come back at once. Work whose deadline has passed when its turn comes is not begun.
 *
 * @param queue how many may wait, of all together
 */
export function createSlots(concurrency: number, queue: number, random: () => number = Math.random) {
  /** By `from`, the one whose turn is next in front. */
  const lines = new Map<string, Waiting[]>()
  let waiting = 0
  let running = 0

  /** Those for whom nobody waits any more make room. */
  function sweep(): void {
    for (const [from, line] of lines) {
      const left = line.filter((one) => !isLate(one.deadline))
      for (const one of line) if (isLate(one.deadline)) one.drop(deadlinePassed())
      waiting -= line.length - left.length
      if (left.length === 0) lines.delete(from)
      else lines.set(from, left)
    }
  }

  /** Makes room for one more of `from`, or throws. */
  function makeRoom(from: string): void {
    sweep()
    if (waiting < queue) return
    let longest: Waiting[] = []
    for (const line of lines.values()) if (line.length > longest.length) longest = line
    // Its own line is (with this one) the longest: it waits for itself.
    if ((lines.get(from)?.length ?? 0) + 1 >= longest.length) throw full(longest)
    const refusal = full(longest)
    waiting--
    longest.pop()?.drop(refusal)
  }

  function full(longest: readonly Waiting[]): SkerryError {
    const retryAfter = 1 + Math.floor(random() * SPREAD_S)
    const headers = longest.length > 1 ? OF_CALLER : {}
    return new SkerryError('UNAVAILABLE', { detail: 'Too many concurrent sign-ins.', retryAfter, headers })
  }

  /** The next in turn; the line it was taken from goes to the end. */
  function next(): Waiting | undefined {
    const [first] = lines
    if (first === undefined) return undefined
    const [from, line] = first
    const one = line.shift()
    waiting--
    lines.delete(from)
    if (line.length > 0) lines.set(from, line)
    return one
  }

  return {
    async run<T>(work: () => Promise<T>, from = ''): Promise<T> {
      const deadline = currentDeadline()
      if (running < concurrency) running++
      else {
        if (waiting >= queue) makeRoom(from)
        await new Promise<void>((resolve, reject) => {
          const line = lines.get(from)
          const one = { deadline, go: resolve, drop: reject }
          if (line === undefined) lines.set(from, [one])
          else line.push(one)
          waiting++
        })
      }
      try {
        if (isLate(deadline)) throw deadlinePassed()
        return await work()
      } finally {
        // The place goes to the next one without being free in between.
        const one = next()
        if (one === undefined) running--
        else one.go()
      }
    }
  }
}

function isLate(deadline: Deadline | undefined): boolean {
  return deadline !== undefined && deadline.remainingMs() <= 0
}
