import { FollowCreated, FollowDeleted, SkerryError } from '@skerry/contracts'
import { publish } from '@skerry/events'
import { type CallContext, transaction } from '@skerry/store'
import { deleteFollow, insertFollow } from '../data/follows.ts'
import { addToCounts } from '../data/profiles.ts'
import { ownProfile } from './create-profile.ts'
import type { Deps, Person } from './deps.ts'

/** Makes the caller follow somebody. Following twice is following once: counts and events change only with the first. */
export async function follow(deps: Deps, caller: Person, followedId: string, call: CallContext): Promise<void> {
  if (followedId === caller.userId) throw new SkerryError('USR_SELF_FOLLOW')
  await Promise.all([requireUser(deps, followedId), ownProfile(deps, caller, call)])
  await change(deps, caller.userId, followedId, 1, call)
}

/** Ends that the caller follows somebody. Nobody follows themselves, so there is nothing to end then. */
export async function unfollow(deps: Deps, caller: Person, followedId: string, call: CallContext): Promise<void> {
  if (followedId === caller.userId) return
  await requireUser(deps, followedId)
  await change(deps, caller.userId, followedId, -1, call)
}

async function requireUser({ profiles }: Deps, id: string): Promise<void> {
  if ((await profiles.one(id)) === undefined) throw new SkerryError('USR_NOT_FOUND')
}

async function change(
  { store, turns }: Deps,
  followerId: string,
  followedId: string,
  by: 1 | -1,
  call: CallContext
): Promise<void> {
  const work = () =>
    transaction(store, call, async (tx) => {
      const changed = await (by === 1 ? insertFollow : deleteFollow)(store, tx, { followerId, followedId })
      if (!changed) return
      const changes = [
        { id: followerId, count: 'following', by },
        { id: followedId, count: 'followers', by }
      ] as const
      // One of them was deleted since they were looked up.
      if (!(await addToCounts(store, tx, changes))) throw new SkerryError('USR_NOT_FOUND')
      const at = new Date().toISOString()
      publish(store, tx, by === 1 ? FollowCreated : FollowDeleted, { followerId, followedId, at })
    })
  // Both counts may be hot.
  await turns([followerId, followedId], work)
}
