import Type, { type Static } from 'typebox'
import {
  EmailSchema,
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
    summary: 'End this session.',
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
