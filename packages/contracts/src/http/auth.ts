import Type, { type Static } from 'typebox'
import {
  EmailSchema,
  FieldsSchema,
  Id,
  NameLike,
  Nullable,
  Page,
  PageQuery,
  PasswordSchema,
  Strict,
  StringLike,
  Time,
  UsernameSchema
} from '../common.ts'
import { EXAMPLE_IDS, EXAMPLE_TEXTS, EXAMPLE_TIMES } from '../examples.ts'
import { defineRoute } from '../route.ts'

/** Opaque to clients; this is only what it may look like. */
const REFRESH_TOKEN = `${EXAMPLE_IDS.session}.opaque-example`

export const AccountSchema = Type.Object(
  {
    id: Id(EXAMPLE_IDS.ada),
    username: StringLike('ada'),
    email: StringLike('ada@example.com'),
    emailVerified: Type.Boolean({ examples: [false] }),
    guest: Type.Boolean({ examples: [false] }),
    createdAt: Time(EXAMPLE_TIMES.signedUp),
    version: Type.Integer({
      description: 'The same as in auth.account.updated: tells which of two responses or events is newer.',
      examples: [1]
    })
  },
  { title: 'Account' }
)
export type Account = Static<typeof AccountSchema>

export const GrantSchema = Type.Object(
  {
    user: AccountSchema,
    session: Type.Object({ id: Id(EXAMPLE_IDS.session) }),
    accessToken: StringLike('eyJhbGciOiJFZERTQSJ9.e30.c2lnbmF0dXJl', {
      description: 'A JWT: send it as `Authorization: Bearer <token>`.'
    }),
    tokenType: Type.Literal('Bearer'),
    expiresIn: Type.Integer({ description: 'Seconds until the access token expires.', examples: [900] }),
    refreshToken: StringLike(REFRESH_TOKEN, { description: 'Opaque. Valid for one refresh.' })
  },
  { title: 'Grant' }
)
export type Grant = Static<typeof GrantSchema>

export const SessionSchema = Type.Object(
  {
    id: Id(EXAMPLE_IDS.session),
    current: Type.Boolean({ examples: [true] }),
    userAgent: Nullable(StringLike(EXAMPLE_TEXTS.userAgent)),
    createdAt: Time(EXAMPLE_TIMES.signedUp),
    lastUsedAt: Time(EXAMPLE_TIMES.commented)
  },
  { title: 'Session' }
)
export type Session = Static<typeof SessionSchema>

export const JwksSchema = Type.Object(
  {
    keys: Type.Array(Type.Record(Type.String(), Type.Unknown()), {
      examples: [
        [
          {
            kty: 'OKP',
            crv: 'Ed25519',
            use: 'sig',
            alg: 'EdDSA',
            kid: 'key-2026-01',
            x: '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo'
          }
        ]
      ]
    })
  },
  { title: 'Jwks', description: 'A JSON Web Key Set (RFC 7517).' }
)

const CountsSchema = Type.Record(Type.String(), Type.Integer(), { examples: [{ posts: 31, comments: 12 }] })
const ServiceSchema = StringLike('content')
/** Services that an example waits for: none, since it is done. */
const waitingFor = { examples: [[]] }

export const DeletionSchema = Type.Object(
  {
    id: Id(EXAMPLE_IDS.deletion),
    state: StringLike('done', { description: 'erasing, ending, done; an open enum' }),
    requestedAt: Time(EXAMPLE_TIMES.deletionRequested),
    finishedAt: Nullable(Time(EXAMPLE_TIMES.deletionDone)),
    waitingFor: Type.Array(Type.String({ description: 'A service that has not finished yet.' }), waitingFor),
    erased: Type.Array(
      Type.Object({ service: ServiceSchema, at: Time(EXAMPLE_TIMES.deletionDone), counts: CountsSchema })
    )
  },
  {
    title: 'Deletion',
    description:
      'The progress of an account deletion, with what each service erased. Its id is all that is needed to read it: keep it.'
  }
)
export type Deletion = Static<typeof DeletionSchema>

export const ExportSchema = Type.Object(
  {
    id: Id(EXAMPLE_IDS.export),
    state: StringLike('ready', { description: 'collecting, ready; an open enum' }),
    requestedAt: Time(EXAMPLE_TIMES.exportRequested),
    readyAt: Nullable(Time(EXAMPLE_TIMES.exportReady)),
    expiresAt: Time(EXAMPLE_TIMES.exportExpires),
    waitingFor: Type.Array(Type.String(), waitingFor),
    parts: Type.Array(
      Type.Object({
        service: ServiceSchema,
        at: Time(EXAMPLE_TIMES.exportReady),
        parts: Type.Integer({ examples: [2] }),
        counts: CountsSchema,
        truncated: Type.Boolean({ examples: [false] })
      })
    )
  },
  { title: 'Export', description: 'The progress of an export, with what each service sent.' }
)
export type Export = Static<typeof ExportSchema>

export const ExportDocumentSchema = Type.Object(
  {
    exportId: Id(EXAMPLE_IDS.export),
    userId: Id(EXAMPLE_IDS.ada),
    requestedAt: Time(EXAMPLE_TIMES.exportRequested),
    services: Type.Record(Type.String(), Type.Record(Type.String(), Type.Array(Type.Unknown())), {
      examples: [{ content: { posts: [{ id: EXAMPLE_IDS.post, text: EXAMPLE_TEXTS.text }] } }]
    })
  },
  {
    title: 'ExportDocument',
    description: 'All data that the services hold about a user: lists by service and section.'
  }
)
export type ExportDocument = Static<typeof ExportDocumentSchema>

const CurrentPassword = {
  currentPassword: Type.Optional(StringLike('correct horse battery staple', { minLength: 1, maxLength: 256 }))
}

const DisplayNameSchema = NameLike('Ada Lindqvist', 80)

export const authRoutes = {
  signup: defineRoute({
    method: 'POST',
    path: '/v1/auth/signup',
    tag: 'auth',
    auth: 'none',
    limit: 'sign-up',
    idempotent: true,
    summary: 'Sign up',
    description: 'Creates an account and signs in.',
    body: Strict(
      {
        email: EmailSchema,
        password: PasswordSchema,
        username: UsernameSchema,
        displayName: Type.Optional(DisplayNameSchema)
      },
      { title: 'SignupBody' }
    ),
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
    summary: 'Sign in',
    description: 'Signs in with an email address or a username.',
    body: Strict(
      {
        login: StringLike('ada@example.com', {
          minLength: 1,
          maxLength: 254,
          description: 'An email address or a username.'
        }),
        password: StringLike('correct horse battery staple', { minLength: 1, maxLength: 256 })
      },
      { title: 'LoginBody' }
    ),
    response: { 200: GrantSchema },
    errors: ['AUTH_BAD_CREDENTIALS', 'RATE_LIMITED']
  }),
  refresh: defineRoute({
    method: 'POST',
    path: '/v1/auth/refresh',
    tag: 'auth',
    auth: 'none',
    priority: 'critical',
    summary: 'Refresh the tokens',
    description: 'Exchanges a refresh token for a new access token and a new refresh token.',
    body: Strict(
      { refreshToken: StringLike(REFRESH_TOKEN, { minLength: 1, maxLength: 512 }) },
      { title: 'RefreshBody' }
    ),
    response: { 200: GrantSchema },
    errors: ['AUTH_BAD_REFRESH_TOKEN']
  }),
  logout: defineRoute({
    method: 'POST',
    path: '/v1/auth/logout',
    tag: 'auth',
    auth: 'required',
    endedSession: true,
    summary: 'Sign out',
    description: 'Ends the session of the access token. Repeating it is no error.',
    response: { 204: null },
    errors: []
  }),
  listSessions: defineRoute({
    method: 'GET',
    path: '/v1/auth/sessions',
    tag: 'auth',
    auth: 'required',
    summary: 'List sessions',
    description: "Lists the caller's sessions, newest first.",
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
    ownerOnly: 404,
    summary: 'End a session',
    description: "Ends one of the caller's sessions.",
    params: Strict({ id: Id(EXAMPLE_IDS.session) }),
    response: { 204: null },
    errors: ['AUTH_SESSION_NOT_FOUND']
  }),
  updateAccount: defineRoute({
    method: 'PATCH',
    path: '/v1/auth/account',
    tag: 'auth',
    auth: 'required',
    limit: 'sign-in',
    summary: 'Update the account',
    description:
      'Changes the email address, username or password. Requires `currentPassword` or a sign-in within the last 10 minutes.',
    body: Strict(
      {
        email: Type.Optional(EmailSchema),
        username: Type.Optional(UsernameSchema),
        password: Type.Optional(PasswordSchema),
        currentPassword: Type.Optional(StringLike('correct horse battery staple', { minLength: 1, maxLength: 256 }))
      },
      { title: 'UpdateAccountBody', minProperties: 1 }
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
    summary: 'Delete the account',
    description:
      'Deletes the account and all data that the services hold about its owner. Requires `currentPassword` or a sign-in within the last 10 minutes. All sessions end immediately. The deletion continues in the background. A repeated request returns the same deletion.',
    body: Type.Optional(Strict(CurrentPassword, { title: 'DeleteAccountBody' })),
    response: { 202: DeletionSchema },
    errors: ['AUTH_REAUTHENTICATION_NEEDED', 'AUTH_BAD_CREDENTIALS']
  }),
  getDeletion: defineRoute({
    method: 'GET',
    path: '/v1/auth/account/deletions/:id',
    tag: 'auth',
    auth: 'none',
    summary: 'Get a deletion',
    description:
      'Returns the progress of an account deletion. It needs no token, because the account has no sessions any more: only its owner knows the id.',
    params: Strict({ id: Id(EXAMPLE_IDS.deletion) }),
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
    summary: 'Request a data export',
    description:
      'Starts an export of all data that the services hold about the caller. Requires `currentPassword` or a sign-in within the last 10 minutes. One export runs at a time.',
    body: Strict(CurrentPassword, { title: 'RequestExportBody' }),
    response: { 202: ExportSchema },
    errors: ['AUTH_REAUTHENTICATION_NEEDED', 'AUTH_BAD_CREDENTIALS']
  }),
  getExport: defineRoute({
    method: 'GET',
    path: '/v1/auth/account/exports/:id',
    tag: 'auth',
    auth: 'required',
    ownerOnly: 404,
    summary: 'Get an export',
    description: "Returns the progress of one of the caller's exports.",
    params: Strict({ id: Id(EXAMPLE_IDS.export) }),
    query: Strict({ fields: Type.Optional(FieldsSchema) }),
    response: { 200: ExportSchema },
    errors: ['AUTH_EXPORT_NOT_FOUND']
  }),
  downloadExport: defineRoute({
    method: 'GET',
    path: '/v1/auth/account/exports/:id/document',
    tag: 'auth',
    auth: 'required',
    ownerOnly: 404,
    priority: 'low',
    stream: true,
    summary: 'Download an export',
    description: 'Streams a finished export as one JSON document.',
    params: Strict({ id: Id(EXAMPLE_IDS.export) }),
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
    summary: 'Get the signing keys',
    description: 'Returns the public keys that verify access tokens.',
    response: { 200: JwksSchema },
    errors: []
  })
}
