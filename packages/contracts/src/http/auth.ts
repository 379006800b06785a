import Type, { type Static } from 'typebox'
import {
  EmailSchema,
  FieldsSchema,
  IdSchema,
  Nullable,
  Page,
  PageQuery,
  PasswordSchema,
  Strict,
  TimeSchema,
  UsernameSchema
} from '../common.ts'
import { defineRoute } from '../route.ts'

export const AccountSchema = Type.Object(
  {
    id: IdSchema,
    username: Type.String(),
    email: Type.String(),
    emailVerified: Type.Boolean(),
    guest: Type.Boolean(),
    createdAt: TimeSchema,
    version: Type.Integer({ description: 'As in auth.account.updated: which of two answers or events is the newer.' })
  },
  { title: 'Account' }
)
export type Account = Static<typeof AccountSchema>

export const GrantSchema = Type.Object(
  {
    user: AccountSchema,
    session: Type.Object({ id: IdSchema }),
    accessToken: Type.String(),
    tokenType: Type.Literal('Bearer'),
    expiresIn: Type.Integer({ description: 'Seconds until the access token expires.' }),
    refreshToken: Type.String()
  },
  { title: 'Grant' }
)
export type Grant = Static<typeof GrantSchema>

export const SessionSchema = Type.Object(
  {
    id: IdSchema,
    current: Type.Boolean(),
    userAgent: Nullable(Type.String()),
    createdAt: TimeSchema,
    lastUsedAt: TimeSchema
  },
  { title: 'Session' }
)
export type Session = Static<typeof SessionSchema>

export const JwksSchema = Type.Object(
  { keys: Type.Array(Type.Record(Type.String(), Type.Unknown())) },
  { title: 'Jwks', description: 'A JSON Web Key Set (RFC 7517).' }
)

const CountsSchema = Type.Record(Type.String(), Type.Integer())

export const DeletionSchema = Type.Object(
  {
    id: IdSchema,
    state: Type.String({ description: 'erasing, ending, done; an open enum' }),
    requestedAt: TimeSchema,
    finishedAt: Nullable(TimeSchema),
    waitingFor: Type.Array(Type.String({ description: 'A service that has not answered yet.' })),
    erased: Type.Array(Type.Object({ service: Type.String(), at: TimeSchema, counts: CountsSchema }))
  },
  {
    title: 'Deletion',
    description:
      'How far the deletion of an account has come, with what each service erased. Its id is all that is needed to read it: keep it.'
  }
)
export type Deletion = Static<typeof DeletionSchema>

export const ExportSchema = Type.Object(
  {
    id: IdSchema,
    state: Type.String({ description: 'collecting, ready; an open enum' }),
    requestedAt: TimeSchema,
    readyAt: Nullable(TimeSchema),
    expiresAt: TimeSchema,
    waitingFor: Type.Array(Type.String()),
    parts: Type.Array(
      Type.Object({
        service: Type.String(),
        at: TimeSchema,
        parts: Type.Integer(),
        counts: CountsSchema,
        truncated: Type.Boolean()
      })
    )
  },
  { title: 'Export', description: 'How far an export has come, with what each service sent.' }
)
export type Export = Static<typeof ExportSchema>

export const ExportDocumentSchema = Type.Object(
  {
    exportId: IdSchema,
    userId: IdSchema,
    requestedAt: TimeSchema,
    services: Type.Record(Type.String(), Type.Record(Type.String(), Type.Array(Type.Unknown())))
  },
  { title: 'ExportDocument', description: 'All that the services keep of somebody: lists by service and section.' }
)
export type ExportDocument = Static<typeof ExportDocumentSchema>

const CurrentPassword = { currentPassword: Type.Optional(Type.String({ minLength: 1, maxLength: 256 })) }

const DisplayNameSchema = Type.String({ minLength: 1, maxLength: 80 })

export const authRoutes = {
  signup: defineRoute({
    method: 'POST',
    path: '/v1/auth/signup',
    tag: 'auth',
    auth: 'none',
    limit: 'sign-up',
    idempotent: true,
    summary: 'Make an account and sign in.',
    body: Strict({
      email: EmailSchema,
      password: PasswordSchema,
      username: UsernameSchema,
      displayName: Type.Optional(DisplayNameSchema)
    }),
    response: { 201: GrantSchema },
    errors: ['AUTH_EMAIL_TAKEN', 'AUTH_USERNAME_TAKEN']
  }),
  login: defineRoute({
    method: 'POST',
    path: '/v1/auth/login',
    tag: 'auth',
    auth: 'none',
    limit: 'sign-in',
    // Who is signed out has nothing; a sign-up, and all the rest, can wait a little longer.
    priority: 'critical',
    summary: 'Sign in with email or username.',
    body: Strict({
      login: Type.String({ minLength: 1, maxLength: 254 }),
      password: Type.String({ minLength: 1, maxLength: 256 })
    }),
    response: { 200: GrantSchema },
    errors: ['AUTH_BAD_CREDENTIALS', 'RATE_LIMITED']
  }),
  refresh: defineRoute({
    method: 'POST',
    path: '/v1/auth/refresh',
    tag: 'auth',
    auth: 'none',
    priority: 'critical',
    summary: 'Trade a refresh token for a new grant.',
    body: Strict({ refreshToken: Type.String({ minLength: 1, maxLength: 512 }) }),
    response: { 200: GrantSchema },
    errors: ['AUTH_BAD_REFRESH_TOKEN']
  }),
  logout: defineRoute({
    method: 'POST',
    path: '/v1/auth/logout',
    tag: 'auth',
    auth: 'required',
    endedSession: true,
    summary: 'End this session. Done again it is no error.',
    response: { 204: null },
    errors: []
  }),
  listSessions: defineRoute({
    method: 'GET',
    path: '/v1/auth/sessions',
    tag: 'auth',
    auth: 'required',
    summary: 'The sessions of the caller, newest first.',
    query: Strict(PageQuery),
    response: { 200: Page(SessionSchema) },
    errors: []
  }),
  endSession: defineRoute({
    method: 'DELETE',
    path: '/v1/auth/sessions/:id',
    tag: 'auth',
    auth: 'required',
    endedSession: true,
    summary: 'End one session of the caller.',
    params: Strict({ id: IdSchema }),
    response: { 204: null },
    errors: ['AUTH_SESSION_NOT_FOUND']
  }),
  updateAccount: defineRoute({
    method: 'PATCH',
    path: '/v1/auth/account',
    tag: 'auth',
    auth: 'required',
    limit: 'sign-in',
    summary: 'Change email, username or password; needs currentPassword or a sign-in in the last 10 minutes.',
    body: Strict(
      {
        email: Type.Optional(EmailSchema),
        username: Type.Optional(UsernameSchema),
        password: Type.Optional(PasswordSchema),
        currentPassword: Type.Optional(Type.String({ minLength: 1, maxLength: 256 }))
      },
      { minProperties: 1 }
    ),
    response: { 200: AccountSchema },
    errors: ['AUTH_EMAIL_TAKEN', 'AUTH_USERNAME_TAKEN', 'AUTH_REAUTHENTICATION_NEEDED', 'AUTH_BAD_CREDENTIALS']
  }),
  deleteAccount: defineRoute({
    method: 'DELETE',
    path: '/v1/auth/account',
    tag: 'auth',
    auth: 'required',
    endedSession: true,
    limit: 'sign-in',
    summary:
      'Delete the account and all that every service has of its owner; needs currentPassword or a sign-in in the last 10 minutes. All sessions end at once. Done again it answers with the same deletion.',
    body: Type.Optional(Strict(CurrentPassword)),
    response: { 202: DeletionSchema },
    errors: ['AUTH_REAUTHENTICATION_NEEDED', 'AUTH_BAD_CREDENTIALS']
  }),
  getDeletion: defineRoute({
    method: 'GET',
    path: '/v1/auth/account/deletions/:id',
    tag: 'auth',
    auth: 'none',
    summary: 'How far a deletion has come. Nobody is signed in by then: its id is the key.',
    params: Strict({ id: IdSchema }),
    query: Strict({ fields: Type.Optional(FieldsSchema) }),
    response: { 200: DeletionSchema },
    errors: ['AUTH_DELETION_NOT_FOUND']
  }),
  requestExport: defineRoute({
    method: 'POST',
    path: '/v1/auth/account/exports',
    tag: 'auth',
    auth: 'required',
    limit: 'sign-in',
    summary:
      'Collect all that every service has of the caller; needs currentPassword or a sign-in in the last 10 minutes. One at a time.',
    body: Strict(CurrentPassword),
    response: { 202: ExportSchema },
    errors: ['AUTH_REAUTHENTICATION_NEEDED', 'AUTH_BAD_CREDENTIALS']
  }),
  getExport: defineRoute({
    method: 'GET',
    path: '/v1/auth/account/exports/:id',
    tag: 'auth',
    auth: 'required',
    summary: 'How far an export of the caller has come.',
    params: Strict({ id: IdSchema }),
    query: Strict({ fields: Type.Optional(FieldsSchema) }),
    response: { 200: ExportSchema },
    errors: ['AUTH_EXPORT_NOT_FOUND']
  }),
  downloadExport: defineRoute({
    method: 'GET',
    path: '/v1/auth/account/exports/:id/document',
    tag: 'auth',
    auth: 'required',
    priority: 'low',
    stream: true,
    summary: 'A finished export as one JSON document, sent as it is read.',
    params: Strict({ id: IdSchema }),
    response: { 200: ExportDocumentSchema },
    errors: ['AUTH_EXPORT_NOT_FOUND', 'AUTH_EXPORT_NOT_READY']
  }),
  jwks: defineRoute({
    method: 'GET',
    path: '/.well-known/jwks.json',
    tag: 'auth',
    auth: 'none',
    priority: 'critical',
    // Short: a key that has just begun to sign must be found by who sees it on a token first.
    cache: { scope: 'public', ttl: 30, staleWhileRevalidate: 30, staleIfError: 600 },
    summary: 'The public keys that access tokens are signed with.',
    response: { 200: JwksSchema },
    errors: []
  })
}
