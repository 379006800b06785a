import Type, { type Static } from 'typebox'
import { Nullable, TimeSchema } from '../common.ts'
import { defineRoute } from '../route.ts'

const AuthorSchema = Type.Object(
  {
    username: Type.String(),
    bio: Nullable(Type.String()),
    image: Nullable(Type.String()),
    following: Type.Boolean()
  },
  { title: 'ConduitProfile' }
)
export type ConduitProfile = Static<typeof AuthorSchema>

const UserSchema = Type.Object({
  user: Type.Object(
    {
      email: Type.String(),
      token: Type.String(),
      username: Type.String(),
      bio: Nullable(Type.String()),
      image: Nullable(Type.String())
    },
    { title: 'ConduitUser' }
  )
})
export type ConduitUserAnswer = Static<typeof UserSchema>

const listed = {
  slug: Type.String(),
  title: Type.String(),
  description: Type.String(),
  tagList: Type.Array(Type.String()),
  createdAt: TimeSchema,
  updatedAt: TimeSchema,
  favorited: Type.Boolean(),
  favoritesCount: Type.Integer(),
  author: AuthorSchema
}
const ListedSchema = Type.Object(listed, { title: 'ConduitListedArticle' })
export type ConduitListedArticle = Static<typeof ListedSchema>

const ArticleSchema = Type.Object({
  article: Type.Object({ ...listed, body: Type.String() }, { title: 'ConduitArticle' })
})
export type ConduitArticleAnswer = Static<typeof ArticleSchema>

const ArticlesSchema = Type.Object({ articles: Type.Array(ListedSchema), articlesCount: Type.Integer() })
export type ConduitArticlesAnswer = Static<typeof ArticlesSchema>

const CommentSchema = Type.Object(
  { id: Type.Integer(), createdAt: TimeSchema, updatedAt: TimeSchema, body: Type.String(), author: AuthorSchema },
  { title: 'ConduitComment' }
)
export type ConduitComment = Static<typeof CommentSchema>

const ErrorsSchema = Type.Object(
  { errors: Type.Record(Type.String(), Type.Array(Type.String())) },
  { title: 'ConduitErrors' }
)

/** Front ends send what they have, so members that are not asked for are let through. */
const Text = (maxLength: number) => Type.String({ minLength: 1, maxLength })
const Tags = Type.Array(Type.String({ maxLength: 100 }), { maxItems: 100 })

const SignUp = Type.Object({ user: Type.Object({ username: Text(256), email: Text(256), password: Text(256) }) })
const LogIn = Type.Object({ user: Type.Object({ email: Text(256), password: Text(256) }) })
const UserChange = Type.Object({
  user: Type.Object({
    email: Type.Optional(Text(256)),
    username: Type.Optional(Text(256)),
    // The settings form sends it empty when it is to stay.
    password: Type.Optional(Nullable(Type.String({ maxLength: 256 }))),
    bio: Type.Optional(Nullable(Type.String({ maxLength: 1000 }))),
    image: Type.Optional(Nullable(Type.String({ maxLength: 2000 })))
  })
})
export type ConduitUserChange = Static<typeof UserChange>['user']

const NewArticle = Type.Object({
  article: Type.Object({
    title: Text(200),
    description: Text(500),
    body: Text(20_000),
    tagList: Type.Optional(Tags)
  })
})
export type NewConduitArticle = Static<typeof NewArticle>['article']

const ArticleChange = Type.Object({
  article: Type.Object({
    title: Type.Optional(Text(200)),
    description: Type.Optional(Text(500)),
    body: Type.Optional(Text(20_000)),
    tagList: Type.Optional(Tags)
  })
})
export type ConduitArticleChange = Static<typeof ArticleChange>['article']

const NewComment = Type.Object({ comment: Type.Object({ body: Text(5000) }) })

/** Where none is asked for, some front ends send one all the same. */
const Ignored = Type.Optional(Type.Unknown())

const Page = { limit: Type.Optional(Type.Integer()), offset: Type.Optional(Type.Integer()) }
const ListQuery = Type.Object({
  tag: Type.Optional(Type.String({ maxLength: 100 })),
  author: Type.Optional(Type.String({ maxLength: 100 })),
  favorited: Type.Optional(Type.String({ maxLength: 100 })),
  ...Page
})
export type ConduitListQuery = Static<typeof ListQuery>

const Slug = Type.Object({ slug: Type.String({ maxLength: 200 }) })
const Username = Type.Object({ username: Type.String({ maxLength: 100 }) })
const CommentRef = Type.Object({
  slug: Type.String({ maxLength: 200 }),
  id: Type.String({ pattern: '^[1-9]\\d{0,9}$' })
})

/** Where it is mounted: the one prefix that it announces. */
export const CONDUIT_PREFIX = '/conduit/api'

/** Tokens are conduit's own and come as `Authorization: Token …`, so for the gateway every route takes none. */
const common = { tag: 'conduit', auth: 'none', errors: [] } as const
const refused = { 422: ErrorsSchema }

/** The RealWorld API. */
export const conduitRoutes = {
  conduitSignUp: defineRoute({
    ...common,
    method: 'POST',
    path: '/conduit/api/users',
    summary: 'Register.',
    body: SignUp,
    response: { 201: UserSchema, ...refused }
  }),
  conduitLogIn: defineRoute({
    ...common,
    method: 'POST',
    path: '/conduit/api/users/login',
    summary: 'Sign in.',
    body: LogIn,
    response: { 200: UserSchema, ...refused }
  }),
  conduitUser: defineRoute({
    ...common,
    method: 'GET',
    path: '/conduit/api/user',
    summary: 'Who is signed in.',
    response: { 200: UserSchema }
  }),
  conduitUpdateUser: defineRoute({
    ...common,
    method: 'PUT',
    path: '/conduit/api/user',
    summary: 'Change email, username, password, image or bio.',
    body: UserChange,
    response: { 200: UserSchema, ...refused }
  }),
  conduitProfile: defineRoute({
    ...common,
    method: 'GET',
    path: '/conduit/api/profiles/:username',
    summary: "Somebody's profile.",
    params: Username,
    response: { 200: Type.Object({ profile: AuthorSchema }) }
  }),
  conduitFollow: defineRoute({
    ...common,
    method: 'POST',
    path: '/conduit/api/profiles/:username/follow',
    summary: 'Follow somebody.',
    params: Username,
    body: Ignored,
    response: { 200: Type.Object({ profile: AuthorSchema }) }
  }),
  conduitUnfollow: defineRoute({
    ...common,
    method: 'DELETE',
    path: '/conduit/api/profiles/:username/follow',
    summary: 'Stop following somebody.',
    params: Username,
    body: Ignored,
    response: { 200: Type.Object({ profile: AuthorSchema }) }
  }),
  conduitArticles: defineRoute({
    ...common,
    method: 'GET',
    path: '/conduit/api/articles',
    summary: 'Articles, newest first: all, with a tag, of an author, or favourites of somebody.',
    query: ListQuery,
    response: { 200: ArticlesSchema }
  }),
  conduitFeed: defineRoute({
    ...common,
    method: 'GET',
    path: '/conduit/api/articles/feed',
    summary: 'Articles of those whom one follows, newest first.',
    query: Type.Object(Page),
    response: { 200: ArticlesSchema }
  }),
  conduitCreateArticle: defineRoute({
    ...common,
    method: 'POST',
    path: '/conduit/api/articles',
    summary: 'Publish an article.',
    body: NewArticle,
    response: { 201: ArticleSchema, ...refused }
  }),
  conduitArticle: defineRoute({
    ...common,
    method: 'GET',
    path: '/conduit/api/articles/:slug',
    summary: 'One article.',
    params: Slug,
    response: { 200: ArticleSchema }
  }),
  conduitUpdateArticle: defineRoute({
    ...common,
    method: 'PUT',
    path: '/conduit/api/articles/:slug',
    summary: "Change one's own article; its slug changes with its title.",
    params: Slug,
    body: ArticleChange,
    response: { 200: ArticleSchema, ...refused }
  }),
  conduitDeleteArticle: defineRoute({
    ...common,
    method: 'DELETE',
    path: '/conduit/api/articles/:slug',
    summary: "Delete one's own article.",
    params: Slug,
    body: Ignored,
    response: { 204: null }
  }),
  conduitFavorite: defineRoute({
    ...common,
    method: 'POST',
    path: '/conduit/api/articles/:slug/favorite',
    summary: 'Add to the favourites.',
    params: Slug,
    body: Ignored,
    response: { 200: ArticleSchema }
  }),
  conduitUnfavorite: defineRoute({
    ...common,
    method: 'DELETE',
    path: '/conduit/api/articles/:slug/favorite',
    summary: 'Take from the favourites.',
    params: Slug,
    body: Ignored,
    response: { 200: ArticleSchema }
  }),
  conduitComments: defineRoute({
    ...common,
    method: 'GET',
    path: '/conduit/api/articles/:slug/comments',
    summary: 'The comments of an article.',
    params: Slug,
    response: { 200: Type.Object({ comments: Type.Array(CommentSchema) }) }
  }),
  conduitAddComment: defineRoute({
    ...common,
    method: 'POST',
    path: '/conduit/api/articles/:slug/comments',
    summary: 'Comment on an article.',
    params: Slug,
    body: NewComment,
    response: { 201: Type.Object({ comment: CommentSchema }), ...refused }
  }),
  conduitDeleteComment: defineRoute({
    ...common,
    method: 'DELETE',
    path: '/conduit/api/articles/:slug/comments/:id',
    summary: "Delete one's own comment.",
    params: CommentRef,
    body: Ignored,
    response: { 204: null }
  }),
  conduitTags: defineRoute({
    ...common,
    method: 'GET',
    path: '/conduit/api/tags',
    summary: 'The tags used most in the newest articles.',
    response: { 200: Type.Object({ tags: Type.Array(Type.String()) }) }
  })
}
