import {
  type DataOf,
  type EventContract,
  FollowCreated,
  FollowDeleted,
  orderKeyOf,
  ProfileCreated,
  ProfileUpdated,
  wireSubject
} from '@skerry/contracts'
import { toHeaders } from '@skerry/events'
import { jetstreamOf, managerOf, type NatsConnection } from '@skerry/service'
import { newId } from '@skerry/store'

type Named = { id: string; username: string; displayName: string }

/** Stands where the users service would be: owns the stream `users` and publishes its events into it. */
export type Users = {
  profile(person: Named, version?: number): Promise<void>
  follow(followerId: string, followedId: string): Promise<void>
  unfollow(followerId: string, followedId: string): Promise<void>
}

export async function fakeUsers(nc: NatsConnection): Promise<Users> {
  const jsm = await managerOf(nc)
  await jsm.streams.add({ name: 'users', subjects: ['users.>'] })
  const js = jetstreamOf(nc)

  async function publish<E extends EventContract>(event: E, data: DataOf<E>): Promise<void> {
    const id = newId(0)
    const subject = wireSubject(event)
    const envelope = {
      ...{ id, subject, entity: event.entity(data), orderKey: orderKeyOf(event, data) },
      time: new Date().toISOString(),
      traceparent: undefined
    }
    await js.publish(subject, JSON.stringify(data), { msgID: id, headers: toHeaders('users', envelope) })
  }
  const at = () => new Date().toISOString()
  return {
    profile: ({ id, username, displayName }, version = 1) =>
      publish(version === 1 ? ProfileCreated : ProfileUpdated, {
        userId: id,
        username,
        displayName,
        bio: '',
        avatar: null,
        version
      }),
    follow: (followerId, followedId) => publish(FollowCreated, { followerId, followedId, at: at() }),
    unfollow: (followerId, followedId) => publish(FollowDeleted, { followerId, followedId, at: at() })
  }
}
