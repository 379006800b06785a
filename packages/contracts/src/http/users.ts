import Type, { type Static } from 'typebox'
import {
  FieldsSchema,
  Id,
  ImageSchema,
  NameLike,
  Nullable,
  Page,
  PageQuery,
  Strict,
  StringLike,
  Time,
  UsernameSchema
} from '../common.ts'
import { EXAMPLE_IDS, EXAMPLE_TEXTS, EXAMPLE_TIMES } from '../examples.ts'
import { defineRoute } from '../route.ts'

export const ProfileSchema = Type.Object(
  {
    id: Id(EXAMPLE_IDS.ada),
    username: StringLike('ada'),
    displayName: StringLike('Ada Lindqvist'),
    bio: StringLike(EXAMPLE_TEXTS.bio),
    avatar: Nullable(ImageSchema),
    counts: Type.Object({
      followers: Type.Integer({ examples: [128] }),
      following: Type.Integer({ examples: [64] }),
      posts: Type.Integer({ examples: [31] })
    }),
    createdAt: Time(EXAMPLE_TIMES.signedUp),
    updatedAt: Time(EXAMPLE_TIMES.followed),
    version: Type.Integer({ examples: [4] })
  },
  { title: 'Profile' }
)
export type Profile = Static<typeof ProfileSchema>

const fieldsOnly = Strict({ fields: Type.Optional(FieldsSchema) })
const byId = Strict({ id: Id(EXAMPLE_IDS.ada) })

export const usersRoutes = {
  getMe: defineRoute({
    method: 'GET',
    path: '/v1/users/me',
    tag: 'users',
    auth: 'required',
    summary: 'Get my profile',
    description: "Returns the caller's profile.",
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
    summary: 'Update my profile',
    description: "Changes the caller's profile. Supports If-Match.",
    body: Strict(
      {
        displayName: Type.Optional(NameLike('Ada Lindqvist', 80)),
        bio: Type.Optional(StringLike(EXAMPLE_TEXTS.bio, { maxLength: 1000 })),
        avatarId: Type.Optional(Nullable(Id(EXAMPLE_IDS.image)))
      },
      { title: 'UpdateMeBody', minProperties: 1 }
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
    summary: 'Get a user',
    description: 'Returns the profile of a user. May be up to 20 seconds old.',
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
    summary: 'Find users',
    description:
      'Finds profiles by exact username, by ids (comma-separated, at most 100) or by the beginning of a username (`q`). Exactly one of the three is required.',
    query: Strict({
      username: Type.Optional(UsernameSchema),
      ids: Type.Optional(
        StringLike(`${EXAMPLE_IDS.ada},${EXAMPLE_IDS.bob}`, {
          pattern: '^[0-7][0-9a-hjkmnp-tv-z]{25}(,[0-7][0-9a-hjkmnp-tv-z]{25}){0,99}$'
        })
      ),
      q: Type.Optional(StringLike('ad', { minLength: 1, maxLength: 30, pattern: '^[A-Za-z0-9_.-]+$' })),
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
    summary: 'Follow a user',
    description: 'Follows a user. Repeating the request has no further effect.',
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
    summary: 'Unfollow a user',
    description: 'Stops following a user. Repeating the request has no further effect.',
    params: byId,
    response: { 204: null },
    errors: ['USR_NOT_FOUND']
  }),
  followers: defineRoute({
    method: 'GET',
    path: '/v1/users/:id/followers',
    tag: 'users',
    auth: 'required',
    summary: 'List followers',
    description: 'Lists the followers of a user, newest first.',
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
    summary: 'List followed users',
    description: 'Lists the users that a user follows, newest first.',
    params: byId,
    query: Strict(PageQuery),
    response: { 200: Page(ProfileSchema) },
    errors: ['USR_NOT_FOUND', 'BAD_CURSOR']
  })
}
