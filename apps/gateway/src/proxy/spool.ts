/** An answer whose client takes it slower than its service gives it. */
export type SlowAnswer = {
  /** Whose it is: a user, or an address without a token. */
  readonly caller: string
  readonly service: string
  /** Bytes that it was given so far, and those of them that its client has not taken. */
  readonly given: number
  unread(): number
  /** Takes no more of it from its service, or more again. */
  pause(): void
  resume(): void
  /** Breaks it off: its client has had its time. */
  cut(): void
}

export type SpoolLimits = {
  /** Unread bytes of one answer, of all answers of one caller, and of all; of those of one service half of that. */
  answerBytes: number
  callerBytes: number
  totalBytes: number
  /** Answers of one service that may hold their connection to it. One caller may hold half as many. */
  held: number
  /**
   * The pace of those, bytes a second, once they were given so long. Where there is no memory slower ones go first, too. That nothing is read
   * at all for a while is not looked for here: `listen/slow-readers.ts` does it for every answer.
   */
  paceBytes: number
  paceAfterMs: number
}

/** Why an answer was cut off. */
export type CutReason = 'memory' | 'caller' | 'service' | 'pace'

export type Spool = {
  /** An answer is behind. */
  add(answer: SlowAnswer): Behind
  /** Unread bytes of all answers, and answers that hold a connection. */
  readonly bytes: number
  readonly held: number
  close(): void
}

/** What an answer tells of itself while it is behind. */
export type Behind = {
  /** It was given more, which its client did not take at once. */
  grew(): void
  /** Its client has taken all. */
  drained(): void
  /** Its service has given all of it. */
  ended(): void
  /** It is over. */
  gone(): void
}

export type SpoolDeps = {
  onCut?(reason: CutReason): void
  /** Milliseconds; and what calls a look each second. For tests. */
  now?: () => number
  every?: (ms: number, look: () => void) => () => void
}

const LOOK_MS = 1_000

type Entry = {
  readonly answer: SlowAnswer
  readonly caller: Share
  readonly service: Share
  bytes: number
  isHeld: boolean
  heldSince: number
  /** What its client had taken at the last look, and how much a second lately; Infinity before a look. */
  taken: number
  pace: number
  /** Since the last look it has taken all there was. */
  keptUp: boolean
}

/** What the answers of one caller, or of one service, have together. */
type Share = { readonly name: string; bytes: number; held: number; entries: number }

/**
 * Where answers wait for slow clients, so that no connection to a service is held at a client's pace: what a client does not take at once
 * is kept in memory, within bounds for each answer, each caller, each service and all. Where there is no room, answers that are taken slower than at a
 * least pace go first, those of the caller that has most before others. An answer that is too large all the same holds its connection, at
 * that pace, and so do few answers of a service, of which one caller has half at most; beyond that the slowest go.
 */
export function createSpool(limits: SpoolLimits, deps: SpoolDeps = {}): Spool {
  const { onCut, now = () => performance.now(), every = repeat } = deps
  const heldByCaller = Math.ceil(limits.held / 2)
  const serviceBytes = Math.max(limits.answerBytes, limits.totalBytes / 2)
  const entries = new Set<Entry>()
  const callers = new Map<string, Share>()
  const services = new Map<string, Share>()
  let total = 0
  let held = 0
  /** Answers that were taken too slowly at the last look: where there are none, nobody looks for them. */
  let slow = 0
  let stop: (() => void) | undefined

  return {
    add(answer) {
      const entry: Entry = {
        ...{ answer, caller: shareOf(callers, answer.caller), service: shareOf(services, answer.service) },
        ...{ bytes: 0, isHeld: false, heldSince: 0 },
        ...{ taken: answer.given - answer.unread(), pace: Number.POSITIVE_INFINITY, keptUp: false }
      }
      entry.caller.entries++
      entry.service.entries++
      entries.add(entry)
      stop ??= every(LOOK_MS, look)
      return {
        grew: () => grew(entry),
        drained: () => drained(entry),
        ended: () => setHeld(entry, false),
        gone: () => remove(entry)
      }
    },
    get bytes() {
      return total
    },
    get held() {
      return held
    },
    close: () => stop?.()
  }

  function measure(entry: Entry): void {
    const unread = entry.answer.unread()
    count(entry, unread - entry.bytes)
    entry.bytes = unread
  }

  function count({ caller, service }: Entry, more: number): void {
    caller.bytes += more
    service.bytes += more
    total += more
  }

  function grew(entry: Entry): void {
    if (!entries.has(entry)) return
    measure(entry)
    if (entry.isHeld) return
    const { caller, service } = entry
    while (caller.bytes > limits.callerBytes && cutSlow((one) => one.caller === caller));
    while (service.bytes > serviceBytes && cutSlow((one) => one.service === service));
    while (total > limits.totalBytes && cutSlow(() => true));
    if (entries.has(entry) && !fits(entry, 0)) hold(entry)
  }

  function fits({ bytes, caller, service }: Entry, more: number): boolean {
    return (
      bytes + more <= limits.answerBytes &&
      caller.bytes + more <= limits.callerBytes &&
      service.bytes + more <= serviceBytes &&
      total + more <= limits.totalBytes
    )
  }

  /** Makes room by an answer that is taken too slowly. False when there is none. */
  function cutSlow(among: (entry: Entry) => boolean): boolean {
    if (slow === 0) return false
    const found = slowest((one) => one.pace < limits.paceBytes && among(one), 'bytes')
    if (found !== undefined) cut(found, 'memory')
    return found !== undefined
  }

  function hold(entry: Entry): void {
    const { answer, caller, service } = entry
    setHeld(entry, true)
    entry.heldSince = now()
    answer.pause()
    if (caller.held > heldByCaller) cut(slowest((one) => one.isHeld && one.caller === caller, 'held')!, 'caller')
    if (service.held > limits.held) cut(slowest((one) => one.isHeld && one.service === service, 'held')!, 'service')
  }

  function setHeld(entry: Entry, isHeld: boolean): void {
    if (entry.isHeld === isHeld) return
    entry.isHeld = isHeld
    const one = isHeld ? 1 : -1
    entry.service.held += one
    entry.caller.held += one
    held += one
  }

  function release(entry: Entry): void {
    setHeld(entry, false)
    entry.answer.resume()
  }

  function drained(entry: Entry): void {
    if (!entries.has(entry)) return
    measure(entry)
    entry.keptUp = true
    if (entry.isHeld) release(entry)
  }

  function remove(entry: Entry): void {
    if (!entries.delete(entry)) return
    setHeld(entry, false)
    count(entry, -entry.bytes)
    if (entry.pace < limits.paceBytes) slow--
    if (--entry.caller.entries === 0) callers.delete(entry.caller.name)
    if (--entry.service.entries === 0) services.delete(entry.service.name)
    if (entries.size > 0) return
    stop?.()
    stop = undefined
  }

  /** The slowest of the caller that has most; of equally slow ones the first. */
  function slowest(among: (entry: Entry) => boolean, most: 'bytes' | 'held'): Entry | undefined {
    let found: Entry | undefined
    for (const entry of entries) {
      if (!among(entry)) continue
      const more = entry.caller[most] - (found?.caller[most] ?? 0)
      if (found === undefined || more > 0 || (entry.caller === found.caller && entry.pace < found.pace)) found = entry
    }
    return found
  }

  function cut(entry: Entry, reason: CutReason): void {
    remove(entry)
    onCut?.(reason)
    entry.answer.cut()
  }

  function look(): void {
    const time = now()
    for (const entry of [...entries]) {
      if (!entries.has(entry)) continue
      measure(entry)
      if (entry.pace < limits.paceBytes) slow--
      const taken = entry.answer.given - entry.bytes
      const paceNow = ((taken - entry.taken) * 1_000) / LOOK_MS
      // Whoever has taken all there was is not slow, however little that was.
      if (entry.keptUp || entry.bytes === 0) entry.pace = Number.POSITIVE_INFINITY
      else entry.pace = Number.isFinite(entry.pace) ? (entry.pace + paceNow) / 2 : paceNow
      if (entry.pace < limits.paceBytes) slow++
      entry.keptUp = false
      entry.taken = taken
      if (entry.isHeld && fits(entry, limits.answerBytes / 2)) release(entry)
      else if (entry.isHeld && time - entry.heldSince > limits.paceAfterMs && entry.pace < limits.paceBytes)
        cut(entry, 'pace')
    }
  }
}

function shareOf(shares: Map<string, Share>, name: string): Share {
  let share = shares.get(name)
  if (share === undefined) {
    share = { name, bytes: 0, held: 0, entries: 0 }
    shares.set(name, share)
  }
  return share
}

function repeat(ms: number, look: () => void): () => void {
  const timer = setInterval(look, ms).unref()
  return () => clearInterval(timer)
}
