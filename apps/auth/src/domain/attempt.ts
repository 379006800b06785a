import { createHmac } from 'node:crypto'
import { SkerryError } from '@skerry/contracts'
import type { Bound } from '../data/attempts.ts'
import type { Deps } from './deps.ts'

/** Somebody who has not proved yet who they are: what they call the account, and where they are. */
export type Stranger = { loginKey: string; address: string; familiar: boolean }

/**
 * An attempt to sign in: answers whether `right` does. Only failures count: one with a right password is given back, and so is one that could
 * not be looked at. Three bounds hold (docs/sessions.md): for this account from this address; for this account from all addresses that it is
 * not used from; for this address over all accounts. The account is what the caller typed: name and email address count apart, as an account
 * that does not exist would, so that nobody learns from a count which belong together. Throws RATE_LIMITED.
 */
export async function trySignIn(
  deps: Deps,
  { loginKey, address, familiar }: Stranger,
  right: () => Promise<boolean>
): Promise<boolean> {
  const { pair, account, place } = deps.limits.failures
  const [login, from] = [hashed(deps, loginKey), hashed(deps, address)]
  const others = [
    { key: `account:${login}`, ...account, strict: false },
    { key: `address:${from}`, ...place, strict: false }
  ]
  const own = { key: `pair:${login}:${from}`, ...pair, strict: true }
  if (!familiar) return attempt(deps, own, others, right)
  if (await attempt(deps, own, [], right)) return true
  // What a stranger hears here: else who shares the address would learn which accounts are used from it.
  refuseUntil((await deps.attempts.take(others)).waitMs)
  return false
}

/** An attempt of a signed-in caller to prove who they are: in room of its own, so that strangers cannot use it up. */
export async function tryProof(deps: Deps, sessionId: string, right: () => Promise<boolean>): Promise<boolean> {
  return attempt(deps, { key: `session:${sessionId}`, ...deps.limits.failures.pair, strict: true }, [], right)
}

/**
 * One after the other under a strict bound: attempts that are under way count for it, so right ones at once would fill it, and the others be
 * told to come back when failures are forgotten.
 */
function attempt(deps: Deps, strict: Bound, others: readonly Bound[], right: () => Promise<boolean>): Promise<boolean> {
  return deps.attemptTurns(strict.key, async () => {
    const taken = await deps.attempts.take([strict, ...others])
    refuseUntil(taken.waitMs)
    let wrong = false
    try {
      wrong = !(await right())
      return !wrong
    } finally {
      await (wrong ? taken.failed() : taken.giveBack())
    }
  })
}

function refuseUntil(waitMs: number): void {
  if (waitMs <= 0) return
  const retryAfter = Math.ceil(waitMs / 1000)
  throw new SkerryError('RATE_LIMITED', { detail: 'Too many failed attempts to sign in.', retryAfter })
}

/** Somebody's text or address, which is not kept as it is; keyed, since there are few enough addresses to try them all. */
function hashed({ placeSecret }: Deps, text: string): string {
  return createHmac('sha256', placeSecret).update(text).digest('base64url').slice(0, 22)
}

/** Places that an account is remembered to be used from; the oldest is forgotten first. */
const PLACES = 10

/** What an account keeps of an address that it was signed in to from: enough to know it again, and no more. */
export function placeOf(deps: Deps, userId: string, address: string): string {
  return hashed(deps, `${userId} ${address}`)
}

/** The places with this one, the newest first. */
export function withPlace(places: readonly string[] | undefined, place: string): string[] {
  return [place, ...(places ?? []).filter((one) => one !== place)].slice(0, PLACES)
}
