import type { Store, Turns } from '@skerry/store'
import type { Attempts } from '../data/attempts.ts'
import type { AccessTokenInput } from './access-token.ts'
import type { Passwords } from './passwords.ts'

/** Tells everybody that sessions have ended; what fails or is late is made up for by the event. Never throws, waits a bounded time. */
export type TellRevoked = (sessionIds: readonly string[]) => Promise<void>

export type Limits = {
  accessTtlMs: number
  refreshTtlMs: number
  refreshGraceMs: number
  recentSignInMs: number
  maxSessions: number
  /** Failed attempts to sign in: at an account from an address, at an account from addresses it is not used from, from an address. */
  failures: Record<'pair' | 'account' | 'place', { limit: number; windowMs: number }>
}

/** What the domain works with. */
export type Deps = {
  store: Store
  passwords: Passwords
  accessToken(input: AccessTokenInput): string
  /** What the next refresh token is derived with. */
  refreshSecret: Buffer
  /** What addresses are hashed with. */
  placeSecret: Buffer
  attempts: Attempts
  /** One attempt at a time under a key. */
  attemptTurns: Turns
  tellRevoked: TellRevoked
  limits: Limits
  /** Epoch milliseconds. */
  now(): number
}
