import Type from 'typebox'
import { IdSchema, ImageSchema, Nullable, TimeSchema } from '../common.ts'
import { defineEvent } from '../event.ts'
import { erasureCompletedBy, exportCompletedBy, exportPartOf } from './sagas.ts'

const profile = Type.Object({
  userId: IdSchema,
  username: Type.String(),
  displayName: Type.String(),
  bio: Type.String(),
  avatar: Nullable(ImageSchema),
  version: Type.Integer()
})

export const ProfileCreated = defineEvent({
  subject: 'users.profile.created',
  version: 1,
  summary: 'A profile exists.',
  entity: (d) => d.userId,
  data: profile
})

export const ProfileUpdated = defineEvent({
  subject: 'users.profile.updated',
  version: 1,
  summary: 'A profile changed.',
  entity: (d) => d.userId,
  data: profile
})

const follow = Type.Object({ followerId: IdSchema, followedId: IdSchema, at: TimeSchema })

export const FollowCreated = defineEvent({
  subject: 'users.follow.created',
  version: 1,
  summary: 'Somebody follows somebody.',
  entity: (d) => `${d.followerId}:${d.followedId}`,
  data: follow
})

export const FollowDeleted = defineEvent({
  subject: 'users.follow.deleted',
  version: 1,
  summary: 'Somebody no longer follows somebody.',
  entity: (d) => `${d.followerId}:${d.followedId}`,
  data: follow
})

export const UsersErasureCompleted = erasureCompletedBy('users')
export const UsersExportPart = exportPartOf('users')
export const UsersExportCompleted = exportCompletedBy('users')
