import { type Account, AccountUpdated, type authRoutes, type BodyOf, SkerryError } from '@skerry/contracts'
import { publish } from '@skerry/events'
import { type CallContext, type Tx, transaction } from '@skerry/store'
import { taken, email as toEmail } from '@skerry/text'
import { type AccountDocument, findAccount, saveAccount } from '../data/accounts.ts'
import { release, reserve, usernames } from '../data/reservations.ts'
import { findSession } from '../data/sessions.ts'
import { refuseTaken, toConflict } from './conflicts.ts'
import type { Deps } from './deps.ts'
import { presentAccount } from './grant.ts'
import { emailForms, emailKey, moveEmail, usernameKey } from './names.ts'
import { type Proving, proveOwner } from './prove-owner.ts'
import { endOthers } from './revoke.ts'

type Change = BodyOf<typeof authRoutes.updateAccount>

/**
 * Changes what the caller's account is signed in to with. Whoever holds only a token must have signed in lately or know the password. A new
 * password ends all other sessions.
 */
export async function updateAccount(
  deps: Deps,
  who: Proving,
  change: Change,
  call: CallContext
): Promise<{ account: Account; ended: string[] }> {
  const { store } = deps
  const { username, password } = change
  const { email } = taken('body', { email: change.email === undefined ? undefined : toEmail(change.email) })
  if (email === undefined && username === undefined && password === undefined) {
    throw new SkerryError('BAD_REQUEST', {
      errors: [{ path: 'body', code: 'too_few', message: 'must have email, username or password' }]
    })
  }
  const proven = await proveOwner(deps, who, change.currentPassword)
  const names = {
    emailKeys: email === undefined ? undefined : emailForms(email),
    usernameKey: username === undefined ? undefined : usernameKey(username)
  }
  await refuseTaken(store, names, who.userId)
  const passwordHash = password === undefined ? undefined : await deps.passwords.hash(password, who.userId)

  let done: { account: AccountDocument; ended: string[] }
  try {
    done = await transaction(store, call, async (tx) => {
      const before = await findAccount(store, who.userId, tx)
      const session = await findSession(store, who.sessionId, tx)
      if (before === null || before.deletionId !== undefined || session === null || session.revokedAt !== undefined)
        throw new SkerryError('SESSION_REVOKED')
      // The password that was proved has been changed meanwhile.
      if (before.passwordHash !== proven) throw new SkerryError('AUTH_BAD_CREDENTIALS')
      const account = await apply(deps, tx, before, { email, username, passwordHash })
      const ended =
        passwordHash === undefined ? [] : await endOthers(deps, tx, who.userId, who.sessionId, 'password_changed')
      return { account, ended }
    })
  } catch (error) {
    throw toConflict(error)
  }
  await deps.tellRevoked(done.ended)
  return { account: presentAccount(done.account), ended: done.ended }
}

async function apply(
  deps: Deps,
  tx: Tx,
  before: AccountDocument,
  change: { email: string | undefined; username: string | undefined; passwordHash: string | undefined }
): Promise<AccountDocument> {
  const { store } = deps
  const { email = before.email, username = before.username, passwordHash = before.passwordHash } = change
  const userId = before._id
  if (email !== before.email) await moveEmail(store, tx, userId, before.email, email)
  if (usernameKey(username) !== usernameKey(before.username)) {
    await reserve(store, tx, usernames, usernameKey(username), userId)
    await release(store, tx, usernames, usernameKey(before.username), userId)
  }
  const changed = [
    ...(email === before.email ? [] : ['email']),
    ...(username === before.username ? [] : ['username']),
    ...(passwordHash === before.passwordHash ? [] : ['password'])
  ]
  if (changed.length === 0) return before
  const account = {
    ...before,
    email,
    username,
    passwordHash,
    emailVerified: before.emailVerified && emailKey(email) === emailKey(before.email),
    version: before.version + 1,
    updatedAt: new Date(deps.now())
  }
  await saveAccount(store, tx, account)
  publish(store, tx, AccountUpdated, { userId, username, changed, version: account.version })
  return account
}
