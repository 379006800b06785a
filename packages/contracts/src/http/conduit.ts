import Type, { type Static } from 'typebox'
import { Nullable, StringLike, Time } from '../common.ts'
import { EXAMPLE_TEXTS, EXAMPLE_TIMES } from '../examples.ts'

const SLUG = 'the-ferry-to-uto'
const tags = { examples: [['archipelago', 'ferries']] }
const createdAt = Time(EXAMPLE_TIMES.posted)
const updatedAt = Time(EXAMPLE_TIMES.edited)

import { defineRoute } from '../route.ts'

const AuthorSchema = Type.Object(
  {
    username: StringLike('ada'),
    bio: Nullable(StringLike(EXAMPLE_TEXTS.bio)),
    image: Nullable(StringLike(EXAMPLE_TEXTS.pictureUrl)),
    following: Type.Boolean({ examples: [true] })
  },
  { title: 'ConduitProfile' }
)
export type ConduitProfile = Static<typeof AuthorSchema>

const ProfileSchema = Type.Object({ profile: AuthorSchema }, { title: 'ConduitProfileAnswer' })

const UserSchema = Type.Object(
  {
    user: Type.Object(
      {
        email: StringLike('ada@example.com'),
        token: StringLike('opaque-example'),
        username: StringLike('ada'),
        bio: Nullable(StringLike(EXAMPLE_TEXTS.bio)),
        image: Nullable(StringLike(EXAMPLE_TEXTS.pictureUrl))
      },
      { title: 'ConduitUser' }
    )
  },
  { title: 'ConduitUserAnswer' }
)
export type ConduitUserAnswer = Static<typeof UserSchema>

const listed = {
  slug: StringLike(SLUG),
  title: StringLike(EXAMPLE_TEXTS.title),
  description: StringLike(EXAMPLE_TEXTS.summary),
  tagList: Type.Array(Type.String(), tags),
  createdAt,
  updatedAt,
  favorited: Type.Boolean({ examples: [false] }),
  favoritesCount: Type.Integer({ examples: [12] }),
  author: AuthorSchema
}
const ListedSchema = Type.Object(listed, { title: 'ConduitListedArticle' })
export type ConduitListedArticle = Static<typeof ListedSchema>

const ArticleSchema = Type.Object(
  {
    article: Type.Object({ ...listed, body: StringLike(EXAMPLE_TEXTS.text) }, { title: 'ConduitArticle' })
  },
  { title: 'ConduitArticleAnswer' }
)
export type ConduitArticleAnswer = Static<typeof ArticleSchema>

const ArticlesSchema = Type.Object(
  { articles: Type.Array(ListedSchema), articlesCount: Type.Integer({ examples: [1] }) },
  { title: 'ConduitArticlesAnswer' }
)
export type ConduitArticlesAnswer = Static<typeof ArticlesSchema>

const CommentSchema = Type.Object(
  {
    id: Type.Integer({ examples: [7] }),
    createdAt,
    updatedAt: createdAt,
    body: StringLike(EXAMPLE_TEXTS.comment),
    author: AuthorSchema
  },
  { title: 'ConduitComment' }
)
export type ConduitComment = Static<typeof CommentSchema>

const ErrorsSchema = Type.Object(
  {
    errors: Type.Record(Type.String(), Type.Array(Type.String()), {
      examples: [{ username: ['has already been taken'] }]
    })
  },
  { title: 'ConduitErrors' }
)

/** Front ends send what they have, so members that are not asked for are let through. */
const Text = (maxLength: number, example: string) => StringLike(example, { minLength: 1, maxLength })
const Tags = Type.Array(Type.String({ maxLength: 100 }), { maxItems: 100, ...tags })

const PASSWORD = 'correct horse battery staple'
const SignUp = Type.Object(
  {
    user: Type.Object({
      username: Text(256, 'ada'),
      email: Text(256, 'ada@example.com'),
      password: Text(256, PASSWORD)
    })
  },
  { title: 'ConduitSignUpBody' }
)
const LogIn = Type.Object(
  { user: Type.Object({ email: Text(256, 'ada@example.com'), password: Text(256, PASSWORD) }) },
  { title: 'ConduitLogInBody' }
)
const UserChange = Type.Object(
  {
    user: Type.Object({
      email: Type.Optional(Text(256, 'ada@example.com')),
      username: Type.Optional(Text(256, 'ada')),
      // The settings form sends it empty when it is to stay.
      password: Type.Optional(Nullable(StringLike(PASSWORD, { maxLength: 256 }))),
      bio: Type.Optional(Nullable(StringLike(EXAMPLE_TEXTS.bio, { maxLength: 1000 }))),
      image: Type.Optional(Nullable(StringLike(EXAMPLE_TEXTS.pictureUrl, { maxLength: 2000 })))
    })
  },
  { title: 'ConduitUserBody' }
)
export type ConduitUserChange = Static<typeof UserChange>['user']

const NewArticle = Type.Object(
  {
    article: Type.Object({
      title: Text(200, EXAMPLE_TEXTS.title),
      description: Text(500, EXAMPLE_TEXTS.summary),
      body: Text(20_000, EXAMPLE_TEXTS.text),
      tagList: Type.Optional(Tags)
    })
  },
  { title: 'ConduitNewArticleBody' }
)
export type NewConduitArticle = Static<typeof NewArticle>['article']

const ArticleChange = Type.Object(
  {
    article: Type.Object({
      title: Type.Optional(Text(200, EXAMPLE_TEXTS.title)),
      description: Type.Optional(Text(500, EXAMPLE_TEXTS.summary)),
      body: Type.Optional(Text(20_000, EXAMPLE_TEXTS.text)),
      tagList: Type.Optional(Tags)
    })
  },
  { title: 'ConduitArticleBody' }
)
export type ConduitArticleChange = Static<typeof ArticleChange>['article']

const NewComment = Type.Object(
  { comment: Type.Object({ body: Text(5000, EXAMPLE_TEXTS.comment) }) },
  { title: 'ConduitCommentBody' }
)

/** Some front ends send a body where none is expected. */
const Ignored = Type.Optional(Type.Unknown({ title: 'IgnoredBody', description: 'Ignored.', examples: [{}] }))

const Page = {
  limit: Type.Optional(Type.Integer({ examples: [20] })),
  offset: Type.Optional(Type.Integer({ examples: [0] }))
}
const ListQuery = Type.Object({
  tag: Type.Optional(StringLike('archipelago', { maxLength: 100 })),
  author: Type.Optional(StringLike('ada', { maxLength: 100 })),
  favorited: Type.Optional(StringLike('bob', { maxLength: 100 })),
  ...Page
})
export type ConduitListQuery = Static<typeof ListQuery>

const Slug = Type.Object({ slug: StringLike(SLUG, { maxLength: 200 }) })
const Username = Type.Object({ username: StringLike('ada', { maxLength: 100 }) })
const CommentRef = Type.Object({
  slug: StringLike(SLUG, { maxLength: 200 }),
  id: StringLike('7', { pattern: '^[1-9]\\d{0,9}$' })
})

/** Where it is mounted: the one prefix that it announces. */
export const CONDUIT_PREFIX = '/conduit/api'

/**
 * Tokens are conduit's own and come as `Authorization: Token …`, so for the gateway every route takes none. Null clears a bio or a picture, as
 * RealWorld has it.
 */
const common = { tag: 'conduit', auth: 'none', keepsNull: true, errors: [] } as const
const refused = { 422: ErrorsSchema }

/** The RealWorld API. */
export const conduitRoutes = {
  conduitSignUp: defineRoute({
    ...common,
    method: 'POST',
    path: '/conduit/api/users',
    summary: 'Register a user',
    description: 'Creates an account and returns its token.',
    body: SignUp,
    response: { 201: UserSchema, ...refused }
  }),
  conduitLogIn: defineRoute({
    ...common,
    method: 'POST',
    path: '/conduit/api/users/login',
    summary: 'Sign in',
    description: 'Signs in with an email address and returns a token.',
    body: LogIn,
    response: { 200: UserSchema, ...refused }
  }),
  conduitUser: defineRoute({
    ...common,
    ownToken: 'required',
    method: 'GET',
    path: '/conduit/api/user',
    summary: 'Get the current user',
    description: 'Returns the user of the token.',
    response: { 200: UserSchema }
  }),
  conduitUpdateUser: defineRoute({
    ...common,
    ownToken: 'required',
    method: 'PUT',
    path: '/conduit/api/user',
    summary: 'Update the current user',
    description: 'Changes the email address, username, password, image or bio.',
    body: UserChange,
    response: { 200: UserSchema, ...refused }
  }),
  conduitProfile: defineRoute({
    ...common,
    ownToken: 'optional',
    method: 'GET',
    path: '/conduit/api/profiles/:username',
    summary: 'Get a profile',
    description: 'Returns the profile of a user.',
    params: Username,
    response: { 200: ProfileSchema }
  }),
  conduitFollow: defineRoute({
    ...common,
    ownToken: 'required',
    method: 'POST',
    path: '/conduit/api/profiles/:username/follow',
    summary: 'Follow a user',
    description: 'Follows a user and returns the profile.',
    params: Username,
    body: Ignored,
    response: { 200: ProfileSchema }
  }),
  conduitUnfollow: defineRoute({
    ...common,
    ownToken: 'required',
    method: 'DELETE',
    path: '/conduit/api/profiles/:username/follow',
    summary: 'Unfollow a user',
    description: 'Stops following a user and returns the profile.',
    params: Username,
    body: Ignored,
    response: { 200: ProfileSchema }
  }),
  conduitArticles: defineRoute({
    ...common,
    ownToken: 'optional',
    method: 'GET',
    path: '/conduit/api/articles',
    summary: 'List articles',
    description: 'Lists all articles, or those with a tag, of an author, or that a user has favourited, newest first.',
    query: ListQuery,
    response: { 200: ArticlesSchema }
  }),
  conduitFeed: defineRoute({
    ...common,
    ownToken: 'required',
    method: 'GET',
    path: '/conduit/api/articles/feed',
    summary: 'Get the article feed',
    description: 'Lists the articles of the users that the caller follows, newest first.',
    query: Type.Object(Page),
    response: { 200: ArticlesSchema }
  }),
  conduitCreateArticle: defineRoute({
    ...common,
    ownToken: 'required',
    method: 'POST',
    path: '/conduit/api/articles',
    summary: 'Create an article',
    description: 'Publishes an article.',
    body: NewArticle,
    response: { 201: ArticleSchema, ...refused }
  }),
  conduitArticle: defineRoute({
    ...common,
    ownToken: 'optional',
    method: 'GET',
    path: '/conduit/api/articles/:slug',
    summary: 'Get an article',
    description: 'Returns one article.',
    params: Slug,
    response: { 200: ArticleSchema }
  }),
  conduitUpdateArticle: defineRoute({
    ...common,
    ownToken: 'required',
    ownerOnly: 403,
    method: 'PUT',
    path: '/conduit/api/articles/:slug',
    summary: 'Update an article',
    description: "Changes one of the caller's articles. A new title changes its slug.",
    params: Slug,
    body: ArticleChange,
    response: { 200: ArticleSchema, ...refused }
  }),
  conduitDeleteArticle: defineRoute({
    ...common,
    ownToken: 'required',
    ownerOnly: 403,
    method: 'DELETE',
    path: '/conduit/api/articles/:slug',
    summary: 'Delete an article',
    description: "Deletes one of the caller's articles.",
    params: Slug,
    body: Ignored,
    response: { 204: null }
  }),
  conduitFavorite: defineRoute({
    ...common,
    ownToken: 'required',
    method: 'POST',
    path: '/conduit/api/articles/:slug/favorite',
    summary: 'Favourite an article',
    description: "Adds an article to the caller's favourites.",
    params: Slug,
    body: Ignored,
    response: { 200: ArticleSchema }
  }),
  conduitUnfavorite: defineRoute({
    ...common,
    ownToken: 'required',
    method: 'DELETE',
    path: '/conduit/api/articles/:slug/favorite',
    summary: 'Unfavourite an article',
    description: "Removes an article from the caller's favourites.",
    params: Slug,
    body: Ignored,
    response: { 200: ArticleSchema }
  }),
  conduitComments: defineRoute({
    ...common,
    ownToken: 'optional',
    method: 'GET',
    path: '/conduit/api/articles/:slug/comments',
    summary: 'List comments',
    description: 'Lists the comments on an article.',
    params: Slug,
    response: { 200: Type.Object({ comments: Type.Array(CommentSchema) }, { title: 'ConduitCommentsAnswer' }) }
  }),
  conduitAddComment: defineRoute({
    ...common,
    ownToken: 'required',
    method: 'POST',
    path: '/conduit/api/articles/:slug/comments',
    summary: 'Create a comment',
    description: 'Comments on an article.',
    params: Slug,
    body: NewComment,
    response: { 201: Type.Object({ comment: CommentSchema }, { title: 'ConduitCommentAnswer' }), ...refused }
  }),
  conduitDeleteComment: defineRoute({
    ...common,
    ownToken: 'required',
    ownerOnly: 403,
    method: 'DELETE',
    path: '/conduit/api/articles/:slug/comments/:id',
    summary: 'Delete a comment',
    description: "Deletes one of the caller's comments.",
    params: CommentRef,
    body: Ignored,
    response: { 204: null }
  }),
  conduitTags: defineRoute({
    ...common,
    method: 'GET',
    path: '/conduit/api/tags',
    summary: 'List tags',
    description: 'Lists the tags that are used most in the newest articles.',
    response: { 200: Type.Object({ tags: Type.Array(Type.String(), tags) }, { title: 'ConduitTagsAnswer' }) }
  })
}
