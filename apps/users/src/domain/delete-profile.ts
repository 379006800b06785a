import { FollowDeleted } from '@skerry/contracts'
import { publish } from '@skerry/events'
import { type CallContext, transaction } from '@skerry/store'
import { deleteFollow, type Follow, findEdges, type Side } from '../data/follows.ts'
import { addToCounts, deleteProfile } from '../data/profiles.ts'
import { deleteUsername } from '../data/usernames.ts'
import type { Deps } from './deps.ts'

const BATCH = 100

/** Removes somebody whose account has ended: the profile, the name and, one by one, all follows of and by them. Harmless when repeated. */
export async function removePerson(
  deps: Deps,
  userId: string,
  call: CallContext
): Promise<{ profiles: number; following: number; followers: number }> {
  const { store } = deps
  const profiles = await transaction(store, call, async (tx) => {
    const before = await deleteProfile(store, tx, userId, new Date())
    if (before !== null) await deleteUsername(store, tx, before.username, userId)
    return before === null ? 0 : 1
  })
  return {
    profiles,
    following: await removeFollows(deps, 'following', userId, call),
    followers: await removeFollows(deps, 'followers', userId, call)
  }
}

async function removeFollows(deps: Deps, side: Side, userId: string, call: CallContext): Promise<number> {
  for (let removed = 0; ; ) {
    const edges = await findEdges(deps.store, side, userId, undefined, BATCH)
    if (edges.length === 0) return removed
    for (const { otherId } of edges) {
      const follow: Follow =
        side === 'following' ? { followerId: userId, followedId: otherId } : { followerId: otherId, followedId: userId }
      await removeFollow(deps, follow, otherId, side, call)
      removed++
    }
  }
}

async function removeFollow(
  { store }: Deps,
  follow: Follow,
  otherId: string,
  side: Side,
  call: CallContext
): Promise<void> {
  await transaction(store, call, async (tx) => {
    if (!(await deleteFollow(store, tx, follow))) return
    await addToCounts(store, tx, [{ id: otherId, count: side === 'following' ? 'followers' : 'following', by: -1 }])
    publish(store, tx, FollowDeleted, { ...follow, at: new Date().toISOString() })
  })
}
