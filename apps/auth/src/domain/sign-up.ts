import { AccountCreated, type authRoutes, type BodyOf, type Grant } from '@skerry/contracts'
import { publish } from '@skerry/events'
import { type CallContext, newId, randomBucket, type Tx, transaction } from '@skerry/store'
import { type AccountDocument, insertAccount } from '../data/accounts.ts'
import { emails, reserve, usernames } from '../data/reservations.ts'
import { refuseTaken, toConflict } from './conflicts.ts'
import type { Deps } from './deps.ts'
import { beginSession } from './grant.ts'
import { emailKey, usernameKey } from './names.ts'

/** Makes an account and signs in: names, account, session and their events commit together or not at all. */
export async function signUp(
  deps: Deps,
  input: BodyOf<typeof authRoutes.signup>,
  userAgent: string | null,
  call: CallContext
): Promise<Grant> {
  const { store } = deps
  const names = { emailKey: emailKey(input.email), usernameKey: usernameKey(input.username) }
  await refuseTaken(store, names)
  const passwordHash = await deps.passwords.hash(input.password)
  try {
    return await transaction(store, call, async (tx) => {
      const account = newAccount(deps, input, passwordHash)
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

function newAccount(deps: Deps, input: BodyOf<typeof authRoutes.signup>, passwordHash: string): AccountDocument {
  const bucket = randomBucket()
  const now = new Date(deps.now())
  return {
    bucket,
    _id: newId(bucket, now.getTime()),
    username: input.username,
    email: input.email,
    emailVerified: false,
    displayName: input.displayName ?? input.username,
    passwordHash,
    version: 1,
    createdAt: now,
    updatedAt: now,
    signedInAt: now
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
