/** How an answer is doing that its client has not taken whole: since when it is looked at, and how much had been taken then. */
export type Reading = { readonly since: number; readonly taken: number }

export type SlowReadersOptions = {
  /** In each period of so many ms a client has to take `bytes`, or all that is left. */
  periodMs: number
  bytes: number
  /** Unread bytes that all slow clients together, and those of one address, may have here. */
  total: number
  perAddress: number
  /** Whether a connection's address is that of one client, and not of a proxy in front. */
  counts(address: string): boolean
}

/** Which bound an answer was ended for: the pace of each, or what all that are slower have together. */
export type UnreadBound = 'UNREAD_PERIOD_BYTES' | 'UNREAD_BYTES'

/** Clients that do not read their answers. Whoever keeps connections looks at each now and then, and ends the look with `settle`. */
export type SlowReaders = {
  /**
   * Judges one answer of which `pending` bytes, more than none, are still here, when `taken` have gone to the client's side. Answers what to
   * judge it by next time; undefined when it has just been ended.
   */
  judge(
    before: Reading | undefined,
    answer: { pending: number; taken: number; address: string | undefined; end: (bound: UnreadBound) => void },
    now: number
  ): Reading | undefined
  /** Ends the newest of those that were judged since the last time, where they are more than may be. */
  settle(): void
}

type Slow = { since: number; pending: number; address: string | undefined; end: (bound: UnreadBound) => void }

/**
 * The one place that bounds at what pace an answer has to be read, on every protocol and whoever gave it. Bounds the time and the bytes of
 * answers that are not read: without it a client that stops reading keeps its answer, and what brings it, for ever. An answer whose client
 * reads at the pace is not counted, however much of it is here.
 */
export function createSlowReaders(options: SlowReadersOptions): SlowReaders {
  const { periodMs, bytes, counts } = options
  let slow: Slow[] = []
  let total = 0
  const sums = new Map<string, number>()
  return {
    judge(before, { pending, taken, address, end }, now) {
      if (before === undefined || taken - before.taken >= bytes) return { since: now, taken }
      if (now - before.since >= periodMs) {
        end('UNREAD_PERIOD_BYTES')
        return undefined
      }
      const counted = address !== undefined && counts(address) ? address : undefined
      slow.push({ since: before.since, pending, address: counted, end })
      total += pending
      if (counted !== undefined) sums.set(counted, (sums.get(counted) ?? 0) + pending)
      return before
    },
    settle() {
      if (slow.length === 0) return
      const over = () => total > options.total
      if (over() || sums.values().some((sum) => sum > options.perAddress)) {
        // Of those that came at one look the one that was looked at last is the newest.
        slow.sort((a, b) => a.since - b.since)
        for (const { pending, address, end } of slow.reverse()) {
          const ofAddress = address === undefined ? 0 : sums.get(address)!
          if (!over() && ofAddress <= options.perAddress) continue
          end('UNREAD_BYTES')
          total -= pending
          if (address !== undefined) sums.set(address, ofAddress - pending)
        }
      }
      slow = []
      total = 0
      sums.clear()
    }
  }
}
