import Type from 'typebox'
import { Id, OpenEnum, StringLike, Time } from '../common.ts'
import { defineEvent } from '../event.ts'
import { EXAMPLE_IDS, EXAMPLE_TIMES } from '../examples.ts'

const userId = Id(EXAMPLE_IDS.ada)
const sessionId = Id(EXAMPLE_IDS.session)

export const AccountCreated = defineEvent({
  subject: 'auth.account.created',
  version: 1,
  summary: 'Account created',
  description: 'A user signed up.',
  entity: (d) => d.userId,
  data: Type.Object({
    userId,
    username: StringLike('ada'),
    displayName: StringLike('Ada Lindqvist'),
    createdAt: Time(EXAMPLE_TIMES.signedUp)
  })
})

export const AccountUpdated = defineEvent({
  subject: 'auth.account.updated',
  version: 1,
  summary: 'Account updated',
  description: 'A user changed the username, email address or password of their account.',
  entity: (d) => d.userId,
  data: Type.Object({
    userId,
    username: StringLike('ada'),
    changed: Type.Array(OpenEnum(['email', 'username', 'password'])),
    version: Type.Integer({ examples: [2] })
  })
})

export const AccountDeleted = defineEvent({
  subject: 'auth.account.deleted',
  version: 1,
  summary: 'Account deleted',
  description:
    'The deletion of an account is complete: every participating service has erased its data about the owner.',
  entity: (d) => d.userId,
  data: Type.Object({ userId, erasureId: Type.Optional(Id(EXAMPLE_IDS.deletion)) })
})

export const SessionRevoked = defineEvent({
  subject: 'auth.session.revoked',
  version: 1,
  summary: 'Session revoked',
  description:
    'A session ended: by logout, by its owner, by a password change, by the reuse of a refresh token, or because the user has too many sessions.',
  entity: (d) => d.sessionId,
  data: Type.Object({
    sessionId,
    userId,
    reason: OpenEnum(['logout', 'ended', 'password_changed', 'refresh_token_reused', 'too_many'])
  })
})
