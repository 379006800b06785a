import { createHash, createHmac } from 'node:crypto'
import { SkerryError } from '@skerry/contracts'
import type { Bound } from '../data/attempts.ts'
import type { Deps } from './deps.ts'

/** An attempt that was taken. */
export type Attempt = {
  /** Answers whether `right` does. What is no failure is given back: a right password, and one that could not be looked at. */
  made(right: () => Promise<boolean>): Promise<boolean>
}

/** Somebody who has not proved yet who they are: what they call the account, and where they are. */
export type Stranger = { loginKey: string; address: string; familiar: boolean }

/**
 * Takes an attempt to sign in. Only failures count: when the password is right it is given back. Three bounds hold (docs/sessions.md):
 * for this account from this address; for this account from all addresses that it is not used from; for this address over all accounts. The
 * account is what the caller typed: name and email address count apart, as an account that does not exist would, so that nobody learns
 * from a count which belong together. Throws RATE_LIMITED.
 */
export async function takeSignIn(deps: Deps, { loginKey, address, familiar }: Stranger): Promise<Attempt> {
  const { pair, account, place } = deps.limits.failures
  const [login, from] = [hashed(loginKey), hashed(address)]
  return take(deps, [
    { key: `pair:${login}:${from}`, ...pair, strict: true },
    ...(familiar
      ? []
      : [
          { key: `account:${login}`, ...account, strict: false },
          { key: `address:${from}`, ...place, strict: false }
        ])
  ])
}

/** Takes an attempt of a signed-in caller to prove who they are: in room of its own, so that strangers cannot use it up. */
export async function takeProof(deps: Deps, sessionId: string): Promise<Attempt> {
  return take(deps, [{ key: `session:${sessionId}`, ...deps.limits.failures.pair, strict: true }])
}

async function take(deps: Deps, bounds: readonly Bound[]): Promise<Attempt> {
  const taken = await deps.attempts.take(bounds)
  if (taken.waitMs > 0) {
    throw new SkerryError('RATE_LIMITED', {
      detail: 'Too many failed attempts to sign in.',
      retryAfter: Math.ceil(taken.waitMs / 1000)
    })
  }
  return {
    async made(right) {
      let wrong = false
      try {
        wrong = !(await right())
        return !wrong
      } finally {
        await (wrong ? taken.failed() : taken.giveBack())
      }
    }
  }
}

/** Somebody's text or address, which is not kept as it is. */
function hashed(text: string): string {
  return createHash('sha256').update(text).digest('base64url').slice(0, 22)
}

/** Places that an account is remembered to be used from; the oldest is forgotten first. */
const PLACES = 10

/** What an account keeps of an address that it was signed in to from: enough to know it again, and no more. */
export function placeOf(deps: Deps, userId: string, address: string): string {
  return createHmac('sha256', deps.placeSecret).update(`${userId} ${address}`).digest('base64url').slice(0, 22)
}

/** The places with this one, the newest first. */
export function withPlace(places: readonly string[] | undefined, place: string): string[] {
  return [place, ...(places ?? []).filter((one) => one !== place)].slice(0, PLACES)
}
