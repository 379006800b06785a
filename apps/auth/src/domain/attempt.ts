import { createHash } from 'node:crypto'
import { SkerryError } from '@skerry/contracts'
import type { Deps } from './deps.ts'

/** Takes one of an account's attempts. Throws RATE_LIMITED with the seconds until the next one. */
export async function takeAttempt(deps: Deps, account: string): Promise<void> {
  const waitMs = await deps.attempts.take(account)
  if (waitMs > 0) {
    throw new SkerryError('RATE_LIMITED', {
      detail: 'Too many attempts to sign in to this account.',
      retryAfter: Math.ceil(waitMs / 1000)
    })
  }
}

/** What the attempts of a login that no account has are counted under: it is somebody's text, so it is not kept as it is. */
export function unknownAccount(loginKey: string): string {
  return `?${createHash('sha256').update(loginKey).digest('base64url')}`
}
