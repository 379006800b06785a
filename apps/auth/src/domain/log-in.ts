import { type authRoutes, type BodyOf, type Grant, SkerryError } from '@skerry/contracts'
import { type CallContext, newId, randomBucket, transaction } from '@skerry/store'
import { findAccount, noteSignIn } from '../data/accounts.ts'
import { emails, findHolder, usernames } from '../data/reservations.ts'
import { takeAttempt, unknownAccount } from './attempt.ts'
import type { Deps } from './deps.ts'
import { beginSession } from './grant.ts'
import { emailKey, isEmail, usernameKey } from './names.ts'
import { endOldest } from './revoke.ts'

/** Signs in with email or username. A login that nobody has costs the same reads and the same hash as one with a wrong password. */
export async function logIn(
  deps: Deps,
  { login, password }: BodyOf<typeof authRoutes.login>,
  userAgent: string | null,
  call: CallContext
): Promise<{ grant: Grant; ended: string[] }> {
  const { store } = deps
  const key = isEmail(login) ? emailKey(login) : usernameKey(login)
  const userId = await findHolder(store, isEmail(login) ? emails : usernames, key)
  const account = await findAccount(store, userId ?? newId(randomBucket()))
  await takeAttempt(deps, userId ?? unknownAccount(key))
  const right = await deps.passwords.verify(password, account?.passwordHash)
  if (account === null || !right) throw new SkerryError('AUTH_BAD_CREDENTIALS')

  const done = await transaction(store, call, async (tx) => {
    if (!(await noteSignIn(store, tx, account, new Date(deps.now())))) throw new SkerryError('AUTH_BAD_CREDENTIALS')
    const grant = await beginSession(deps, tx, account, userAgent)
    return { grant, ended: await endOldest(deps, tx, account._id) }
  })
  await deps.tellRevoked(done.ended)
  return done
}
