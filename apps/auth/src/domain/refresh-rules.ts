/** What a session knows of its refresh tokens. Hashes are opaque here. */
export type TokenState = {
  /** Of the token that is to be used next. */
  tokenHash: string
  /** Of the one before it, which was traded for it at `rotatedAt`. */
  previousHash?: string
  rotatedAt?: Date
  /** Tokens before that whose successors were used (`at`) within the last grace, the newest first. */
  older?: { hash: string; at: Date }[]
  /** When the predecessor was taken after the grace, in the last day, the newest first. */
  lateRepeats?: Date[]
}

/**
 * - `current`: the token that is to be used next: the session moves on;
 * - `repeat`: its predecessor, within the grace: the same successor again;
 * - `late`: its predecessor after the grace: the same, and it is counted;
 * - `race`: an older one whose successor was used within the last grace: two of one phone, or a slow network; the newest token;
 * - `stolen`: all else.
 */
export type Verdict = 'current' | 'repeat' | 'late' | 'race' | 'stolen'

/** How often a day a predecessor is taken after the grace. */
export const LATE_REPEATS = 10
const DAY_MS = 24 * 3600 * 1000
/** Older tokens that are remembered: a phone has a few processes, not many. */
const OLDER = 4

/**
 * What a token of a session means (docs/sessions.md). A predecessor is good for as long as its successor is unused, because only the answer
 * may have been lost; after the grace ten times a day, because an owner and a thief who take turns look like that, too, and go on.
 */
export function judge(state: TokenState, hash: string, now: number, graceMs: number): Verdict {
  if (hash === state.tokenHash) return 'current'
  if (hash === state.previousHash) {
    if (inGrace(state, now, graceMs)) return 'repeat'
    return recentRepeats(state, now).length < LATE_REPEATS ? 'late' : 'stolen'
  }
  const older = state.older?.find((one) => one.hash === hash)
  return older !== undefined && now - older.at.getTime() <= graceMs ? 'race' : 'stolen'
}

/** The state after `current`: the token is the predecessor now. */
export function rotated(state: TokenState, nextHash: string, now: Date, graceMs: number): TokenState {
  const { tokenHash, previousHash } = state
  // From now, not from when it was traded: a process that has just had it repeated may still be on its way with it.
  const last = previousHash === undefined ? [] : [{ hash: previousHash, at: now }]
  const older = [...last, ...(state.older ?? [])].filter(({ at }) => now.getTime() - at.getTime() <= graceMs)
  return { tokenHash: nextHash, previousHash: tokenHash, rotatedAt: now, older: older.slice(0, OLDER) }
}

/** The late repeats of the last day with this one, newest first. */
export function withLateRepeat(state: TokenState, now: Date): Date[] {
  return [now, ...recentRepeats(state, now.getTime())]
}

/** A late repeat opens a longer grace, so that repeats that race, and the tries of a phone that still has no network, count as one. */
const LATE_GRACES = 10

function inGrace({ rotatedAt, lateRepeats }: TokenState, now: number, graceMs: number): boolean {
  const sinceLate = now - (lateRepeats?.[0]?.getTime() ?? 0)
  return now - (rotatedAt?.getTime() ?? 0) <= graceMs || sinceLate <= LATE_GRACES * graceMs
}

function recentRepeats({ lateRepeats }: TokenState, now: number): Date[] {
  return (lateRepeats ?? []).filter((at) => now - at.getTime() < DAY_MS)
}
