import Type, { type Static } from 'typebox'
import {
  FieldsSchema,
  IdSchema,
  ImageSchema,
  Nullable,
  Page,
  PageQuery,
  Strict,
  TimeSchema,
  UsernameSchema
} from '../common.ts'
import { defineRoute } from '../route.ts'

export const ProfileSchema = Type.Object(
  {
    id: IdSchema,
    username: Type.String(),
    displayName: Type.String(),
    bio: Type.String(),
    avatar: Nullable(ImageSchema),
    counts: Type.Object({ followers: Type.Integer(), following: Type.Integer(), posts: Type.Integer() }),
    createdAt: TimeSchema,
    updatedAt: TimeSchema,
    version: Type.Integer()
  },
  { title: 'Profile' }
)
export type Profile = Static<typeof ProfileSchema>

const fieldsOnly = Strict({ fields: Type.Optional(FieldsSchema) })
const byId = Strict({ id: IdSchema })

export const usersRoutes = {
  getMe: defineRoute({
    method: 'GET',
    path: '/v1/users/me',
    tag: 'users',
    auth: 'required',
    summary: "The caller's own profile.",
    query: fieldsOnly,
    response: { 200: ProfileSchema },
    errors: []
  }),
  updateMe: defineRoute({
    method: 'PATCH',
    path: '/v1/users/me',
    tag: 'users',
    auth: 'required',
    ends: ['profile:{caller}'],
    summary: "Change the caller's profile. Honours If-Match.",
    body: Strict(
      {
        displayName: Type.Optional(Type.String({ minLength: 1, maxLength: 80 })),
        bio: Type.Optional(Type.String({ maxLength: 1000 })),
        avatarId: Type.Optional(Nullable(IdSchema))
      },
      { minProperties: 1 }
    ),
    response: { 200: ProfileSchema },
    errors: ['PRECONDITION_FAILED']
  }),
  getUser: defineRoute({
    method: 'GET',
    path: '/v1/users/:id',
    tag: 'users',
    auth: 'required',
    // The same for every caller. Edits, names and follows end it at once; a changed count of posts has no event of its own (users counts
    // as content tells) and is seen when the ttl is over.
    cache: {
      scope: 'public',
      ttl: 10,
      staleWhileRevalidate: 10,
      staleIfError: 300,
      tags: ['profile:{id}'],
      endedBy: {
        'users.profile.updated': ['profile:{userId}'],
        'users.follow.created': ['profile:{followerId}', 'profile:{followedId}'],
        'users.follow.deleted': ['profile:{followerId}', 'profile:{followedId}']
      }
    },
    summary: "Somebody's profile.",
    params: byId,
    query: fieldsOnly,
    response: { 200: ProfileSchema },
    errors: ['USR_NOT_FOUND']
  }),
  findUsers: defineRoute({
    method: 'GET',
    path: '/v1/users',
    tag: 'users',
    auth: 'required',
    summary:
      'Profiles by exact username, by ids (comma-separated, at most 100) or by the beginning of a username (q). Exactly one of them.',
    query: Strict({
      username: Type.Optional(UsernameSchema),
      ids: Type.Optional(Type.String({ pattern: '^[0-7][0-9a-hjkmnp-tv-z]{25}(,[0-7][0-9a-hjkmnp-tv-z]{25}){0,99}$' })),
      q: Type.Optional(Type.String({ minLength: 1, maxLength: 30, pattern: '^[A-Za-z0-9_.-]+$' })),
      ...PageQuery
    }),
    response: { 200: Page(ProfileSchema) },
    errors: []
  }),
  follow: defineRoute({
    method: 'PUT',
    path: '/v1/users/:id/follow',
    tag: 'users',
    auth: 'required',
    ends: ['profile:{id}', 'profile:{caller}'],
    summary: 'Follow somebody; following twice is following once.',
    params: byId,
    response: { 204: null },
    errors: ['USR_NOT_FOUND', 'USR_SELF_FOLLOW']
  }),
  unfollow: defineRoute({
    method: 'DELETE',
    path: '/v1/users/:id/follow',
    tag: 'users',
    auth: 'required',
    ends: ['profile:{id}', 'profile:{caller}'],
    summary: 'Stop following somebody.',
    params: byId,
    response: { 204: null },
    errors: ['USR_NOT_FOUND']
  }),
  followers: defineRoute({
    method: 'GET',
    path: '/v1/users/:id/followers',
    tag: 'users',
    auth: 'required',
    summary: 'Who follows them, newest first.',
    params: byId,
    query: Strict(PageQuery),
    response: { 200: Page(ProfileSchema) },
    errors: ['USR_NOT_FOUND', 'BAD_CURSOR']
  }),
  following: defineRoute({
    method: 'GET',
    path: '/v1/users/:id/following',
    tag: 'users',
    auth: 'required',
    summary: 'Whom they follow, newest first.',
    params: byId,
    query: Strict(PageQuery),
    response: { 200: Page(ProfileSchema) },
    errors: ['USR_NOT_FOUND', 'BAD_CURSOR']
  })
}
