import Type, { type Static } from 'typebox'
import { FieldsSchema, IdSchema, ImageSchema, Nullable, Page, PageQuery, Strict, TimeSchema } from '../common.ts'
import { defineRoute } from '../route.ts'

/** An author as it stands in posts and comments: what content knows of a profile from events. */
export const AuthorSchema = Type.Object(
  {
    id: IdSchema,
    username: Type.String(),
    displayName: Type.String(),
    avatar: Nullable(ImageSchema)
  },
  { title: 'Author' }
)
export type Author = Static<typeof AuthorSchema>

export const TagSchema = Type.String({ minLength: 1, maxLength: 50, pattern: '^[^\\s,#\\u0000-\\u001f]+$' })
export const TextSchema = Type.String({ minLength: 1, maxLength: 20000 })
export const TitleSchema = Type.String({ minLength: 1, maxLength: 200 })
export const SummarySchema = Type.String({ minLength: 1, maxLength: 500 })
export const TagsSchema = Type.Array(TagSchema, { maxItems: 20, uniqueItems: true })
const MediaIdsSchema = Type.Array(IdSchema, { maxItems: 10, uniqueItems: true })

export const PostSchema = Type.Object(
  {
    id: IdSchema,
    author: AuthorSchema,
    title: Nullable(Type.String()),
    summary: Nullable(Type.String()),
    text: Type.String(),
    tags: Type.Array(Type.String()),
    media: Type.Array(ImageSchema),
    counts: Type.Object({ likes: Type.Integer(), comments: Type.Integer() }),
    liked: Type.Boolean(),
    createdAt: TimeSchema,
    updatedAt: TimeSchema,
    version: Type.Integer()
  },
  { title: 'Post' }
)
export type Post = Static<typeof PostSchema>

export const CommentSchema = Type.Object(
  {
    id: IdSchema,
    postId: IdSchema,
    author: AuthorSchema,
    text: Type.String(),
    createdAt: TimeSchema
  },
  { title: 'Comment' }
)
export type Comment = Static<typeof CommentSchema>

export const TrendsSchema = Type.Object(
  {
    items: Type.Array(
      Type.Object({
        tag: Type.String(),
        posts: Type.Integer({ description: 'Posts with the tag in the time that was looked at.' }),
        authors: Type.Integer({ description: 'Who wrote them.' }),
        score: Type.Number()
      })
    ),
    computedAt: Nullable(TimeSchema)
  },
  { title: 'Trends', description: 'Tags in the order of their score, as they were computed last.' }
)
export type Trends = Static<typeof TrendsSchema>

const byId = Strict({ id: IdSchema })

export const contentRoutes = {
  createPost: defineRoute({
    method: 'POST',
    path: '/v1/posts',
    tag: 'content',
    auth: 'required',
    idempotent: true,
    summary: 'Publish a post.',
    body: Strict({
      text: TextSchema,
      title: Type.Optional(TitleSchema),
      summary: Type.Optional(SummarySchema),
      tags: Type.Optional(TagsSchema),
      mediaIds: Type.Optional(MediaIdsSchema)
    }),
    response: { 201: PostSchema },
    errors: ['IDEMPOTENCY_IN_FLIGHT', 'IDEMPOTENCY_MISMATCH']
  }),
  getPost: defineRoute({
    method: 'GET',
    path: '/v1/posts/:id',
    tag: 'content',
    auth: 'required',
    summary: 'One post.',
    params: byId,
    query: Strict({ fields: Type.Optional(FieldsSchema) }),
    response: { 200: PostSchema },
    errors: ['CNT_POST_NOT_FOUND']
  }),
  updatePost: defineRoute({
    method: 'PATCH',
    path: '/v1/posts/:id',
    tag: 'content',
    auth: 'required',
    summary: "Change one's own post. Honours If-Match.",
    params: byId,
    body: Strict(
      {
        text: Type.Optional(TextSchema),
        title: Type.Optional(Nullable(TitleSchema)),
        summary: Type.Optional(Nullable(SummarySchema)),
        tags: Type.Optional(TagsSchema)
      },
      { minProperties: 1 }
    ),
    response: { 200: PostSchema },
    errors: ['CNT_POST_NOT_FOUND', 'FORBIDDEN', 'PRECONDITION_FAILED']
  }),
  deletePost: defineRoute({
    method: 'DELETE',
    path: '/v1/posts/:id',
    tag: 'content',
    auth: 'required',
    summary: "Delete one's own post. Honours If-Match.",
    params: byId,
    response: { 204: null },
    errors: ['CNT_POST_NOT_FOUND', 'FORBIDDEN', 'PRECONDITION_FAILED']
  }),
  listPosts: defineRoute({
    method: 'GET',
    path: '/v1/posts',
    tag: 'content',
    auth: 'required',
    summary: 'Posts of an author, with a tag, or all; newest first.',
    query: Strict({ author: Type.Optional(IdSchema), tag: Type.Optional(TagSchema), ...PageQuery }),
    response: { 200: Page(PostSchema) },
    errors: ['BAD_CURSOR']
  }),
  feed: defineRoute({
    method: 'GET',
    path: '/v1/feed',
    tag: 'content',
    auth: 'required',
    summary: 'Posts of the caller and of those they follow, newest first.',
    query: Strict(PageQuery),
    response: { 200: Page(PostSchema) },
    errors: ['BAD_CURSOR']
  }),
  like: defineRoute({
    method: 'PUT',
    path: '/v1/posts/:id/like',
    tag: 'content',
    auth: 'required',
    summary: 'Like a post; liking twice is liking once.',
    params: byId,
    response: { 204: null },
    errors: ['CNT_POST_NOT_FOUND']
  }),
  unlike: defineRoute({
    method: 'DELETE',
    path: '/v1/posts/:id/like',
    tag: 'content',
    auth: 'required',
    summary: 'Take a like back.',
    params: byId,
    response: { 204: null },
    errors: ['CNT_POST_NOT_FOUND']
  }),
  createComment: defineRoute({
    method: 'POST',
    path: '/v1/posts/:id/comments',
    tag: 'content',
    auth: 'required',
    idempotent: true,
    summary: 'Comment on a post.',
    params: byId,
    body: Strict({ text: Type.String({ minLength: 1, maxLength: 5000 }) }),
    response: { 201: CommentSchema },
    errors: ['CNT_POST_NOT_FOUND', 'IDEMPOTENCY_IN_FLIGHT', 'IDEMPOTENCY_MISMATCH']
  }),
  listComments: defineRoute({
    method: 'GET',
    path: '/v1/posts/:id/comments',
    tag: 'content',
    auth: 'required',
    summary: 'Comments of a post, newest first.',
    params: byId,
    query: Strict(PageQuery),
    response: { 200: Page(CommentSchema) },
    errors: ['CNT_POST_NOT_FOUND', 'BAD_CURSOR']
  }),
  deleteComment: defineRoute({
    method: 'DELETE',
    path: '/v1/comments/:id',
    tag: 'content',
    auth: 'required',
    summary: "Delete one's own comment, or any comment on one's own post.",
    params: byId,
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
    summary: 'The tags that most people have written about in the last days.',
    query: Strict({
      limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 50, default: 20 })),
      fields: Type.Optional(FieldsSchema)
    }),
    response: { 200: TrendsSchema },
    errors: []
  })
}
