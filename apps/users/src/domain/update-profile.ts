import { type BodyOf, type Profile, ProfileUpdated, SkerryError, type usersRoutes } from '@skerry/contracts'
import { publish } from '@skerry/events'
import { type CallContext, transaction } from '@skerry/store'
import { taken, bio as toBio, displayName as toDisplayName } from '@skerry/text'
import { updateProfile } from '../data/profiles.ts'
import { ownProfile } from './create-profile.ts'
import type { Deps, Person } from './deps.ts'
import { presentProfile, profileEvent } from './present.ts'

export type ProfileChange = BodyOf<typeof usersRoutes.updateMe>

/** Changes the caller's profile; with `versions` only when it is one of those. */
export async function updateMe(
  deps: Deps,
  caller: Person,
  change: ProfileChange,
  versions: readonly number[] | undefined,
  call: CallContext
): Promise<Profile> {
  const { store } = deps
  if (typeof change.avatarId === 'string') {
    throw new SkerryError('BAD_REQUEST', {
      errors: [{ path: 'body.avatarId', code: 'unavailable', message: 'must be null: pictures cannot be uploaded yet' }]
    })
  }
  const { displayName } = taken('body', {
    displayName: change.displayName === undefined ? undefined : toDisplayName(change.displayName)
  })
  const bio = change.bio === undefined ? undefined : toBio(change.bio)
  const before = await ownProfile(deps, caller, call)
  const set = { ...(displayName === undefined ? {} : { displayName }), ...(bio === undefined ? {} : { bio }) }
  const same = (displayName ?? before.displayName) === before.displayName && (bio ?? before.bio) === before.bio
  if (same && (versions?.includes(before.version) ?? true)) return presentProfile(before)
  return transaction(store, call, async (tx) => {
    const where = { id: caller.userId, ...(versions === undefined ? {} : { versions }) }
    const after = await updateProfile(store, tx, where, set)
    if (after === null) throw new SkerryError('PRECONDITION_FAILED')
    publish(store, tx, ProfileUpdated, profileEvent(after))
    return presentProfile(after)
  })
}
