import { ProfileUpdated } from '@skerry/contracts'
import { publish } from '@skerry/events'
import type { Tx } from '@skerry/store'
import { findProfile, updateProfile } from '../data/profiles.ts'
import { deleteUsername, saveUsername } from '../data/usernames.ts'
import type { Deps } from './deps.ts'
import { profileEvent } from './present.ts'

export type Renaming = { userId: string; username: string; changed: readonly string[]; version: number; at: Date }

/** Follows a change of username in auth. */
export async function renameProfile({ store }: Deps, tx: Tx, renaming: Renaming): Promise<void> {
  const { userId, username, changed, version, at } = renaming
  if (!changed.includes('username')) return
  const before = await findProfile(store, userId, tx)
  if (before === null) throw new Error(`${userId} was renamed and has no profile yet`)
  if (before.accountVersion >= version || before.username === username) return
  const after = await updateProfile(
    store,
    tx,
    { id: userId, accountBefore: version },
    { username, accountVersion: version }
  )
  if (after === null) return
  await deleteUsername(store, tx, before.username, userId)
  await saveUsername(store, tx, username, userId, at)
  publish(store, tx, ProfileUpdated, profileEvent(after))
}
