import { SkerryError } from '@skerry/contracts'
import { findAccount } from '../data/accounts.ts'
import { tryProof } from './attempt.ts'
import type { Deps } from './deps.ts'
import type { Who } from './sessions.ts'

/** A caller and when they signed in, in seconds since 1970. */
export type Proving = Who & { authenticatedAt: number }

/**
 * Proves that the caller is the owner of the account and not only holds a token: by `currentPassword`, or by having signed in lately. Answers
 * the password hash that the proof belongs to. Throws AUTH_REAUTHENTICATION_NEEDED, AUTH_BAD_CREDENTIALS or RATE_LIMITED.
 */
export async function proveOwner(deps: Deps, who: Proving, currentPassword: string | undefined): Promise<string> {
  const account = await findAccount(deps.store, who.userId)
  if (account === null) throw new SkerryError('SESSION_REVOKED')
  if (currentPassword === undefined) {
    const recent = deps.now() - who.authenticatedAt * 1000 <= deps.limits.recentSignInMs
    if (!recent) throw new SkerryError('AUTH_REAUTHENTICATION_NEEDED')
    return account.passwordHash
  }
  const right = await tryProof(deps, who.sessionId, () =>
    deps.passwords.verify(currentPassword, account.passwordHash, who.userId)
  )
  if (!right)
    throw new SkerryError('AUTH_BAD_CREDENTIALS', {
      errors: [{ path: 'body.currentPassword', code: 'wrong', message: 'is not the password of this account' }]
    })
  return account.passwordHash
}
