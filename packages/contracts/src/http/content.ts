import Type, { type Static } from 'typebox'
import { FieldsSchema, Id, ImageSchema, Nullable, Page, PageQuery, Strict, StringLike, Time } from '../common.ts'
import { EXAMPLE_IDS, EXAMPLE_TEXTS, EXAMPLE_TIMES } from '../examples.ts'
import { defineRoute } from '../route.ts'

/** An author as it stands in posts and comments: what content knows of a profile from events. */
export const AuthorSchema = Type.Object(
  {
    id: Id(EXAMPLE_IDS.ada),
    username: StringLike('ada'),
    displayName: StringLike('Ada Lindqvist'),
    avatar: Nullable(ImageSchema)
  },
  { title: 'Author' }
)
export type Author = Static<typeof AuthorSchema>

export const TagSchema = StringLike('archipelago', {
  minLength: 1,
  maxLength: 50,
  pattern: '^[^\\s,#\\u0000-\\u001f]+$',
  description: 'Kept and compared in lower case and NFC, without white space around it.'
})
export const TextSchema = StringLike(EXAMPLE_TEXTS.text, { minLength: 1, maxLength: 20000 })
export const TitleSchema = StringLike(EXAMPLE_TEXTS.title, { minLength: 1, maxLength: 200 })
export const SummarySchema = StringLike(EXAMPLE_TEXTS.summary, { minLength: 1, maxLength: 500 })
export const TagsSchema = Type.Array(TagSchema, {
  maxItems: 20,
  uniqueItems: true,
  examples: [['archipelago', 'ferries']]
})
const MediaIdsSchema = Type.Array(Id(EXAMPLE_IDS.image), { maxItems: 10, uniqueItems: true })

export const PostSchema = Type.Object(
  {
    id: Id(EXAMPLE_IDS.post),
    author: AuthorSchema,
    title: Nullable(StringLike(EXAMPLE_TEXTS.title)),
    summary: Nullable(StringLike(EXAMPLE_TEXTS.summary)),
    text: StringLike(EXAMPLE_TEXTS.text),
    tags: Type.Array(Type.String(), { examples: [['archipelago', 'ferries']] }),
    media: Type.Array(ImageSchema),
    counts: Type.Object({ likes: Type.Integer({ examples: [12] }), comments: Type.Integer({ examples: [3] }) }),
    liked: Type.Boolean({ examples: [false] }),
    createdAt: Time(EXAMPLE_TIMES.posted),
    updatedAt: Time(EXAMPLE_TIMES.edited),
    version: Type.Integer({ examples: [2] })
  },
  { title: 'Post' }
)
export type Post = Static<typeof PostSchema>

export const CommentSchema = Type.Object(
  {
    id: Id(EXAMPLE_IDS.comment),
    postId: Id(EXAMPLE_IDS.post),
    author: AuthorSchema,
    text: StringLike(EXAMPLE_TEXTS.comment),
    createdAt: Time(EXAMPLE_TIMES.commented)
  },
  { title: 'Comment' }
)
export type Comment = Static<typeof CommentSchema>

export const TrendsSchema = Type.Object(
  {
    items: Type.Array(
      Type.Object({
        tag: StringLike('archipelago'),
        posts: Type.Integer({ description: 'Posts with the tag in the measured period.', examples: [42] }),
        authors: Type.Integer({ description: 'Distinct authors of these posts.', examples: [17] }),
        score: Type.Number({ examples: [23.5] })
      })
    ),
    computedAt: Nullable(Time(EXAMPLE_TIMES.commented))
  },
  { title: 'Trends', description: 'Tags sorted by score, as last computed.' }
)
export type Trends = Static<typeof TrendsSchema>

const postId = Strict({ id: Id(EXAMPLE_IDS.post) })

export const contentRoutes = {
  createPost: defineRoute({
    method: 'POST',
    path: '/v1/posts',
    tag: 'content',
    auth: 'required',
    idempotent: true,
    summary: 'Create a post',
    description: 'Publishes a post. It appears in the feeds of the followers of its author.',
    body: Strict(
      {
        text: TextSchema,
        title: Type.Optional(TitleSchema),
        summary: Type.Optional(SummarySchema),
        tags: Type.Optional(TagsSchema),
        mediaIds: Type.Optional(MediaIdsSchema)
      },
      { title: 'CreatePostBody' }
    ),
    response: { 201: PostSchema },
    errors: ['IDEMPOTENCY_IN_FLIGHT', 'IDEMPOTENCY_MISMATCH']
  }),
  getPost: defineRoute({
    method: 'GET',
    path: '/v1/posts/:id',
    tag: 'content',
    auth: 'required',
    summary: 'Get a post',
    description: 'Returns one post.',
    params: postId,
    query: Strict({ fields: Type.Optional(FieldsSchema) }),
    response: { 200: PostSchema },
    errors: ['CNT_POST_NOT_FOUND']
  }),
  updatePost: defineRoute({
    method: 'PATCH',
    path: '/v1/posts/:id',
    tag: 'content',
    auth: 'required',
    ownerOnly: 403,
    summary: 'Update a post',
    description: "Changes one of the caller's posts. Supports If-Match.",
    params: postId,
    body: Strict(
      {
        text: Type.Optional(TextSchema),
        title: Type.Optional(Nullable(TitleSchema)),
        summary: Type.Optional(Nullable(SummarySchema)),
        tags: Type.Optional(Nullable(TagsSchema))
      },
      { title: 'UpdatePostBody', minProperties: 1 }
    ),
    response: { 200: PostSchema },
    errors: ['CNT_POST_NOT_FOUND', 'FORBIDDEN', 'PRECONDITION_FAILED']
  }),
  deletePost: defineRoute({
    method: 'DELETE',
    path: '/v1/posts/:id',
    tag: 'content',
    auth: 'required',
    ownerOnly: 403,
    summary: 'Delete a post',
    description: "Deletes one of the caller's posts. Supports If-Match.",
    params: postId,
    response: { 204: null },
    errors: ['CNT_POST_NOT_FOUND', 'FORBIDDEN', 'PRECONDITION_FAILED']
  }),
  listPosts: defineRoute({
    method: 'GET',
    path: '/v1/posts',
    tag: 'content',
    auth: 'required',
    summary: 'List posts',
    description: 'Lists all posts, or those of an author or with a tag, newest first.',
    query: Strict({ author: Type.Optional(Id(EXAMPLE_IDS.ada)), tag: Type.Optional(TagSchema), ...PageQuery }),
    response: { 200: Page(PostSchema) },
    errors: ['BAD_CURSOR']
  }),
  feed: defineRoute({
    method: 'GET',
    path: '/v1/feed',
    tag: 'content',
    auth: 'required',
    summary: 'Get the home feed',
    description: 'Lists the posts of the caller and of the users that the caller follows, newest first.',
    query: Strict(PageQuery),
    response: { 200: Page(PostSchema) },
    errors: ['BAD_CURSOR']
  }),
  like: defineRoute({
    method: 'PUT',
    path: '/v1/posts/:id/like',
    tag: 'content',
    auth: 'required',
    summary: 'Like a post',
    description: 'Likes a post. Repeating the request has no further effect.',
    params: postId,
    response: { 204: null },
    errors: ['CNT_POST_NOT_FOUND']
  }),
  unlike: defineRoute({
    method: 'DELETE',
    path: '/v1/posts/:id/like',
    tag: 'content',
    auth: 'required',
    summary: 'Unlike a post',
    description: "Removes the caller's like. Repeating the request has no further effect.",
    params: postId,
    response: { 204: null },
    errors: ['CNT_POST_NOT_FOUND']
  }),
  createComment: defineRoute({
    method: 'POST',
    path: '/v1/posts/:id/comments',
    tag: 'content',
    auth: 'required',
    idempotent: true,
    summary: 'Create a comment',
    description: 'Comments on a post.',
    params: postId,
    body: Strict(
      { text: StringLike(EXAMPLE_TEXTS.comment, { minLength: 1, maxLength: 5000 }) },
      { title: 'CreateCommentBody' }
    ),
    response: { 201: CommentSchema },
    errors: ['CNT_POST_NOT_FOUND', 'IDEMPOTENCY_IN_FLIGHT', 'IDEMPOTENCY_MISMATCH']
  }),
  listComments: defineRoute({
    method: 'GET',
    path: '/v1/posts/:id/comments',
    tag: 'content',
    auth: 'required',
    summary: 'List comments',
    description: 'Lists the comments on a post, newest first.',
    params: postId,
    query: Strict(PageQuery),
    response: { 200: Page(CommentSchema) },
    errors: ['CNT_POST_NOT_FOUND', 'BAD_CURSOR']
  }),
  deleteComment: defineRoute({
    method: 'DELETE',
    path: '/v1/comments/:id',
    tag: 'content',
    auth: 'required',
    ownerOnly: 403,
    summary: 'Delete a comment',
    description: "Deletes one of the caller's comments, or any comment on one of the caller's posts.",
    params: Strict({ id: Id(EXAMPLE_IDS.comment) }),
    response: { 204: null },
    errors: ['CNT_COMMENT_NOT_FOUND', 'FORBIDDEN']
  }),
  trends: defineRoute({
    method: 'GET',
    path: '/v1/trends',
    tag: 'content',
    auth: 'none',
    priority: 'low',
    // They are computed once a minute; who asks gets the same for all.
    cache: { scope: 'public', ttl: 30, staleWhileRevalidate: 60, staleIfError: 3600 },
    summary: 'List trending tags',
    description: 'Lists the tags that most authors used in the last days. The list is computed once a minute.',
    query: Strict({
      limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 50, default: 20 })),
      fields: Type.Optional(FieldsSchema)
    }),
    response: { 200: TrendsSchema },
    errors: []
  })
}
