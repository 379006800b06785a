import Type from 'typebox'
import { Id, ImageSchema, Nullable, StringLike, Time } from '../common.ts'
import { defineEvent } from '../event.ts'
import { EXAMPLE_IDS, EXAMPLE_TEXTS, EXAMPLE_TIMES } from '../examples.ts'
import { erasureCompletedBy, exportCompletedBy, exportPartOf } from './sagas.ts'

const profile = Type.Object({
  userId: Id(EXAMPLE_IDS.ada),
  username: StringLike('ada'),
  displayName: StringLike('Ada Lindqvist'),
  bio: StringLike(EXAMPLE_TEXTS.bio),
  avatar: Nullable(ImageSchema),
  version: Type.Integer({ examples: [4] })
})

export const ProfileCreated = defineEvent({
  subject: 'users.profile.created',
  version: 1,
  summary: 'Profile created',
  description: 'The profile of a new user was created.',
  entity: (d) => d.userId,
  data: profile
})

export const ProfileUpdated = defineEvent({
  subject: 'users.profile.updated',
  version: 1,
  summary: 'Profile updated',
  description: 'A profile changed.',
  entity: (d) => d.userId,
  data: profile
})

const follow = Type.Object({
  followerId: Id(EXAMPLE_IDS.bob),
  followedId: Id(EXAMPLE_IDS.ada),
  at: Time(EXAMPLE_TIMES.followed)
})

export const FollowCreated = defineEvent({
  subject: 'users.follow.created',
  version: 1,
  summary: 'Follow created',
  description: 'A user started to follow another user.',
  entity: (d) => `${d.followerId}:${d.followedId}`,
  orderedBy: (d) => d.followerId,
  data: follow
})

export const FollowDeleted = defineEvent({
  subject: 'users.follow.deleted',
  version: 1,
  summary: 'Follow deleted',
  description: 'A user stopped following another user.',
  entity: (d) => `${d.followerId}:${d.followedId}`,
  orderedBy: (d) => d.followerId,
  data: follow
})

export const UsersErasureCompleted = erasureCompletedBy('users')
export const UsersExportPart = exportPartOf('users')
export const UsersExportCompleted = exportCompletedBy('users')
