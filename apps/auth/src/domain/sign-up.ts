import { AccountCreated, type authRoutes, type BodyOf, type Grant, SkerryError } from '@skerry/contracts'
import { publish } from '@skerry/events'
import { type CallContext, newId, randomBucket, type Tx, transaction } from '@skerry/store'
import { taken, displayName as toDisplayName, email as toEmail } from '@skerry/text'
import { type AccountDocument, findAccount, insertAccount } from '../data/accounts.ts'
import { emails, reserve, usernames } from '../data/reservations.ts'
import { findSession } from '../data/sessions.ts'
import { placeOf } from './attempt.ts'
import { refuseTaken, toConflict } from './conflicts.ts'
import type { Deps } from './deps.ts'
import { beginSession, grantOf, newestTokenOf } from './grant.ts'
import { signIn } from './log-in.ts'
import { emailForms, emailKey, usernameKey } from './names.ts'
import type { Client } from './sessions.ts'

/** Makes an account and signs in: names, account, session and their events commit together or not at all. */
export async function signUp(
  deps: Deps,
  input: BodyOf<typeof authRoutes.signup>,
  { userAgent, address }: Client,
  call: CallContext
): Promise<Grant> {
  const { store } = deps
  const { email, displayName } = taken('body', {
    email: toEmail(input.email),
    displayName: input.displayName === undefined ? undefined : toDisplayName(input.displayName)
  })
  const person = { ...input, email, displayName: displayName ?? input.username }
  const names = { emailKey: emailKey(email), usernameKey: usernameKey(input.username) }
  await refuseTaken(store, { emailKeys: emailForms(email), usernameKey: names.usernameKey })
  const passwordHash = await deps.passwords.hash(input.password, address)
  try {
    return await transaction(store, call, async (tx) => {
      const account = newAccount(deps, person, passwordHash, address)
      await reserve(store, tx, emails, names.emailKey, account._id)
      await reserve(store, tx, usernames, names.usernameKey, account._id)
      await insertAccount(store, tx, account)
      announce(deps, tx, account)
      return beginSession(deps, tx, account, userAgent)
    })
  } catch (error) {
    throw toConflict(error)
  }
}

/**
 * The grant of a sign-up that is repeated with its key and its body: of the session that it began, with the token that is to be used next,
 * so that a repeat never brings one whose use ends the session. Where that session has ended the repeat signs in. Either way it proves who asks
 * by its password, which may have been changed since: because somebody had read that very request, say.
 */
export async function grantAgain(
  deps: Deps,
  sessionId: string,
  password: string,
  client: Client,
  call: CallContext
): Promise<{ grant: Grant; ended: string[] }> {
  const { store } = deps
  const session = await findSession(store, sessionId)
  const account = session === null ? null : await findAccount(store, session.userId)
  if (session === null || account === null || account.deletionId !== undefined)
    throw new SkerryError('AUTH_BAD_CREDENTIALS')
  // No attempt is taken: a key goes with one body, so there is one password to try.
  if (!(await deps.passwords.verify(password, account.passwordHash, client.address)))
    throw new SkerryError('AUTH_BAD_CREDENTIALS')
  const ended = session.revokedAt !== undefined || session.expiresAt.getTime() <= deps.now()
  const token = ended ? undefined : newestTokenOf(deps, session)
  if (token !== undefined) return { grant: grantOf(deps, account, session, token), ended: [] }
  return signIn(deps, account, client, call)
}

function newAccount(
  deps: Deps,
  person: { username: string; email: string; displayName: string },
  passwordHash: string,
  address: string
): AccountDocument {
  const bucket = randomBucket()
  const now = new Date(deps.now())
  const id = newId(bucket, now.getTime())
  return {
    bucket,
    _id: id,
    username: person.username,
    email: person.email,
    emailVerified: false,
    displayName: person.displayName,
    passwordHash,
    version: 1,
    createdAt: now,
    updatedAt: now,
    signedInAt: now,
    places: [placeOf(deps, id, address)]
  }
}

function announce(deps: Deps, tx: Tx, account: AccountDocument): void {
  publish(deps.store, tx, AccountCreated, {
    userId: account._id,
    username: account.username,
    displayName: account.displayName,
    createdAt: account.createdAt.toISOString()
  })
}
