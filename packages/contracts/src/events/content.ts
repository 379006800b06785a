import Type from 'typebox'
import { IdSchema, Nullable, TimeSchema } from '../common.ts'
import { defineEvent } from '../event.ts'
import { erasureCompletedBy, exportCompletedBy, exportPartOf } from './sagas.ts'

const post = Type.Object({
  postId: IdSchema,
  authorId: IdSchema,
  title: Nullable(Type.String()),
  summary: Nullable(Type.String()),
  text: Type.String(),
  tags: Type.Array(Type.String()),
  createdAt: TimeSchema,
  updatedAt: TimeSchema,
  version: Type.Integer()
})

export const PostCreated = defineEvent({
  subject: 'content.post.created',
  version: 1,
  summary: 'A post was published.',
  entity: (d) => d.postId,
  data: post
})

export const PostUpdated = defineEvent({
  subject: 'content.post.updated',
  version: 1,
  summary: 'A post was changed by its author.',
  entity: (d) => d.postId,
  data: post
})

export const PostDeleted = defineEvent({
  subject: 'content.post.deleted',
  version: 1,
  summary: 'A post was deleted.',
  entity: (d) => d.postId,
  data: Type.Object({ postId: IdSchema, authorId: IdSchema })
})

export const CommentCreated = defineEvent({
  subject: 'content.comment.created',
  version: 1,
  summary: 'Somebody commented on a post.',
  entity: (d) => d.commentId,
  data: Type.Object({
    commentId: IdSchema,
    postId: IdSchema,
    postAuthorId: IdSchema,
    authorId: IdSchema,
    text: Type.String(),
    createdAt: TimeSchema
  })
})

export const CommentDeleted = defineEvent({
  subject: 'content.comment.deleted',
  version: 1,
  summary: 'A comment was deleted.',
  entity: (d) => d.commentId,
  data: Type.Object({ commentId: IdSchema, postId: IdSchema, postAuthorId: IdSchema, authorId: IdSchema })
})

const like = Type.Object({ postId: IdSchema, postAuthorId: IdSchema, userId: IdSchema })

export const LikeCreated = defineEvent({
  subject: 'content.like.created',
  version: 1,
  summary: 'Somebody likes a post.',
  entity: (d) => `${d.postId}:${d.userId}`,
  data: like
})

export const LikeDeleted = defineEvent({
  subject: 'content.like.deleted',
  version: 1,
  summary: 'Somebody took a like back.',
  entity: (d) => `${d.postId}:${d.userId}`,
  data: like
})

export const ContentErasureCompleted = erasureCompletedBy('content')
export const ContentExportPart = exportPartOf('content')
export const ContentExportCompleted = exportCompletedBy('content')
