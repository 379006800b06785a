import { ProfileCreated, SkerryError } from '@skerry/contracts'
import { publish } from '@skerry/events'
import { bucketOf, type CallContext, type Tx, timeOf, transaction } from '@skerry/store'
import { findProfile, insertProfile, type ProfileDocument } from '../data/profiles.ts'
import { saveUsername } from '../data/usernames.ts'
import type { Deps, Person } from './deps.ts'
import { profileEvent } from './present.ts'

/**
 * Makes the profile of an account, once, whoever comes first: the account's event or its owner's first request. Answers null when it is there
 * or was deleted.
 */
export async function createProfile({ store }: Deps, tx: Tx, person: Person): Promise<ProfileDocument | null> {
  const { userId, username, displayName } = person
  // An account's id is as old as the account.
  const createdAt = new Date(timeOf(userId))
  const made = await insertProfile(store, tx, {
    _id: userId,
    bucket: bucketOf(userId),
    username,
    displayName,
    bio: '',
    counts: { followers: 0, following: 0, posts: 0 },
    version: 1,
    accountVersion: 1,
    createdAt,
    updatedAt: createdAt
  })
  if (made === null) return null
  await saveUsername(store, tx, username, userId, createdAt)
  publish(store, tx, ProfileCreated, profileEvent(made))
  return made
}

/** The caller's own profile; made from the token when the account's event has not arrived yet. Throws USR_NOT_FOUND once it is deleted. */
export async function ownProfile(deps: Deps, caller: Person, call: CallContext): Promise<ProfileDocument> {
  const found = await deps.profiles.one(caller.userId)
  if (found !== undefined) return found
  const { traceparent } = call
  const made = await transaction(deps.store, traceparent === undefined ? {} : { traceparent }, (tx) =>
    createProfile(deps, tx, caller)
  )
  const own = made ?? (await findProfile(deps.store, caller.userId))
  if (own === null) throw new SkerryError('USR_NOT_FOUND')
  return own
}
