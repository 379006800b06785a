import { ProfileUpdated } from '@skerry/contracts'
import { publish } from '@skerry/events'
import type { Tx } from '@skerry/store'
import { usernameKey } from '@skerry/text'
import { findProfile, updateProfile } from '../data/profiles.ts'
import { deleteUsername, saveUsername } from '../data/usernames.ts'
import { createProfile } from './create-profile.ts'
import type { Deps } from './deps.ts'
import { profileEvent } from './present.ts'

export type Renaming = { userId: string; username: string; changed: readonly string[]; version: number; at: Date }

/** Follows a change of username in auth. */
export async function renameProfile(deps: Deps, tx: Tx, renaming: Renaming): Promise<void> {
  const { store } = deps
  const { userId, username, changed, version, at } = renaming
  if (!changed.includes('username')) return
  const before = await findProfile(store, userId, tx)
  if (before === null) {
    // Its creation went to the dead letters, or it is deleted: then nothing is made.
    const made = await createProfile(deps, tx, { userId, username, displayName: username })
    if (made !== null) await saveUsername(store, tx, username, userId, at)
    return
  }
  if (before.accountVersion >= version) return
  // Also when a token told the new name first: from when on they have it is known only now.
  await saveUsername(store, tx, username, userId, at)
  if (usernameKey(before.username) !== usernameKey(username)) await deleteUsername(store, tx, before.username, userId)
  if (before.username === username) return
  const after = await updateProfile(store, tx, { id: userId }, { username, accountVersion: version })
  if (after !== null) publish(store, tx, ProfileUpdated, profileEvent(after))
}
