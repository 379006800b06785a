import Type from 'typebox'
import { Id, Nullable, StringLike, Time } from '../common.ts'
import { defineEvent } from '../event.ts'
import { EXAMPLE_IDS, EXAMPLE_TEXTS, EXAMPLE_TIMES } from '../examples.ts'
import { erasureCompletedBy, exportCompletedBy, exportPartOf } from './sagas.ts'

const postId = Id(EXAMPLE_IDS.post)
const commentId = Id(EXAMPLE_IDS.comment)
const ada = Id(EXAMPLE_IDS.ada)
const bob = Id(EXAMPLE_IDS.bob)

const post = Type.Object({
  postId,
  authorId: ada,
  title: Nullable(StringLike(EXAMPLE_TEXTS.title)),
  summary: Nullable(StringLike(EXAMPLE_TEXTS.summary)),
  text: StringLike(EXAMPLE_TEXTS.text),
  tags: Type.Array(Type.String(), { examples: [['archipelago', 'ferries']] }),
  createdAt: Time(EXAMPLE_TIMES.posted),
  updatedAt: Time(EXAMPLE_TIMES.edited),
  version: Type.Integer({ examples: [2] })
})

export const PostCreated = defineEvent({
  subject: 'content.post.created',
  version: 1,
  summary: 'Post created',
  description: 'A user published a post.',
  entity: (d) => d.postId,
  orderedBy: (d) => d.authorId,
  data: post
})

export const PostUpdated = defineEvent({
  subject: 'content.post.updated',
  version: 1,
  summary: 'Post updated',
  description: 'The author changed a post.',
  entity: (d) => d.postId,
  orderedBy: (d) => d.authorId,
  data: post
})

export const PostDeleted = defineEvent({
  subject: 'content.post.deleted',
  version: 1,
  summary: 'Post deleted',
  description: 'A post was deleted.',
  entity: (d) => d.postId,
  orderedBy: (d) => d.authorId,
  data: Type.Object({ postId, authorId: ada })
})

export const CommentCreated = defineEvent({
  subject: 'content.comment.created',
  version: 1,
  summary: 'Comment created',
  description: 'A user commented on a post.',
  entity: (d) => d.commentId,
  orderedBy: (d) => d.authorId,
  data: Type.Object({
    commentId,
    postId,
    postAuthorId: ada,
    authorId: bob,
    text: StringLike(EXAMPLE_TEXTS.comment),
    createdAt: Time(EXAMPLE_TIMES.commented)
  })
})

export const CommentDeleted = defineEvent({
  subject: 'content.comment.deleted',
  version: 1,
  summary: 'Comment deleted',
  description: 'A comment was deleted.',
  entity: (d) => d.commentId,
  orderedBy: (d) => d.authorId,
  data: Type.Object({ commentId, postId, postAuthorId: ada, authorId: bob })
})

const like = Type.Object({ postId, postAuthorId: ada, userId: bob })

export const LikeCreated = defineEvent({
  subject: 'content.like.created',
  version: 1,
  summary: 'Like created',
  description: 'A user liked a post.',
  entity: (d) => `${d.postId}:${d.userId}`,
  orderedBy: (d) => d.userId,
  data: like
})

export const LikeDeleted = defineEvent({
  subject: 'content.like.deleted',
  version: 1,
  summary: 'Like deleted',
  description: 'A user removed their like of a post.',
  entity: (d) => `${d.postId}:${d.userId}`,
  orderedBy: (d) => d.userId,
  data: like
})

export const ContentErasureCompleted = erasureCompletedBy('content')
export const ContentExportPart = exportPartOf('content')
export const ContentExportCompleted = exportCompletedBy('content')
