import Type from 'typebox'
import { IdSchema, OpenEnum, TimeSchema } from '../common.ts'
import { defineEvent } from '../event.ts'

export const AccountCreated = defineEvent({
  subject: 'auth.account.created',
  version: 1,
  summary: 'Somebody signed up.',
  entity: (d) => d.userId,
  data: Type.Object({ userId: IdSchema, username: Type.String(), displayName: Type.String(), createdAt: TimeSchema })
})

export const AccountUpdated = defineEvent({
  subject: 'auth.account.updated',
  version: 1,
  summary: 'An account changed its username, email or password.',
  entity: (d) => d.userId,
  data: Type.Object({
    userId: IdSchema,
    username: Type.String(),
    changed: Type.Array(OpenEnum(['email', 'username', 'password'])),
    version: Type.Integer()
  })
})

export const AccountDeleted = defineEvent({
  subject: 'auth.account.deleted',
  version: 1,
  summary: 'An account has ended: every service that takes part has erased what it had of its owner.',
  entity: (d) => d.userId,
  data: Type.Object({ userId: IdSchema, erasureId: Type.Optional(IdSchema) })
})

export const SessionCreated = defineEvent({
  subject: 'auth.session.created',
  version: 1,
  summary: 'Somebody signed in.',
  entity: (d) => d.sessionId,
  data: Type.Object({ sessionId: IdSchema, userId: IdSchema })
})

export const SessionRevoked = defineEvent({
  subject: 'auth.session.revoked',
  version: 1,
  summary: 'A session ended: by logout, by its owner, by a changed password, by a stolen refresh token, or by its age.',
  entity: (d) => d.sessionId,
  data: Type.Object({
    sessionId: IdSchema,
    userId: IdSchema,
    reason: OpenEnum(['logout', 'ended', 'password_changed', 'refresh_token_reused', 'too_many'])
  })
})
