import { type authRoutes, type BodyOf, type Grant, SkerryError } from '@skerry/contracts'
import { type CallContext, newId, randomBucket, transaction } from '@skerry/store'
import { isBlank } from '@skerry/text'
import { type AccountDocument, findAccount, noteSignIn } from '../data/accounts.ts'
import { placeOf, trySignIn, withPlace } from './attempt.ts'
import type { Deps } from './deps.ts'
import { beginSession } from './grant.ts'
import { findLogin } from './names.ts'
import { endOldest } from './revoke.ts'
import type { Client } from './sessions.ts'

/** Signs in with email or username. A login that nobody has costs the same reads and the same hash as one with a wrong password. */
export async function logIn(
  deps: Deps,
  { login, password }: BodyOf<typeof authRoutes.login>,
  { userAgent, address }: Client,
  call: CallContext
): Promise<{ grant: Grant; ended: string[] }> {
  const { store } = deps
  refuseBlankLogin(login)
  const { key, userId } = await findLogin(store, login)
  const account = await findAccount(store, userId ?? newId(randomBucket()))
  const place = account === null ? undefined : placeOf(deps, account._id, address)
  const familiar = place !== undefined && account?.places?.includes(place) === true
  const right = await trySignIn(deps, { loginKey: key, address, familiar }, () =>
    deps.passwords.verify(password, account?.passwordHash, address)
  )
  if (account === null || !right) throw new SkerryError('AUTH_BAD_CREDENTIALS')

  return signIn(deps, account, { userAgent, address }, call)
}

/** Begins a session of an account whose password was just proved, unless it has another one by now or is being deleted; the oldest ends. */
export async function signIn(
  deps: Deps,
  account: AccountDocument,
  { userAgent, address }: Client,
  call: CallContext
): Promise<{ grant: Grant; ended: string[] }> {
  const { store } = deps
  const places = withPlace(account.places, placeOf(deps, account._id, address))
  const done = await transaction(store, call, async (tx) => {
    if (!(await noteSignIn(store, tx, account, { signedInAt: new Date(deps.now()), places })))
      throw new SkerryError('AUTH_BAD_CREDENTIALS')
    const grant = await beginSession(deps, tx, account, userAgent)
    return { grant, ended: await endOldest(deps, tx, account._id) }
  })
  await deps.tellRevoked(done.ended)
  return done
}

/** Before an attempt is spent on it. */
function refuseBlankLogin(login: string): void {
  if (!isBlank(login)) return
  throw new SkerryError('BAD_REQUEST', {
    errors: [{ path: 'body.login', code: 'blank', message: 'must be an email address or a username' }]
  })
}
