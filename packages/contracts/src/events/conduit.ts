import Type from 'typebox'
import { IdSchema, TimeSchema } from '../common.ts'
import { defineEvent } from '../event.ts'

export const ArticleCreated = defineEvent({
  subject: 'conduit.article.created',
  version: 1,
  summary: 'Somebody keeps a new article.',
  entity: (d) => d.articleId,
  data: Type.Object({ articleId: IdSchema, ownerId: IdSchema, text: Type.String(), createdAt: TimeSchema })
})

export const ArticleDeleted = defineEvent({
  subject: 'conduit.article.deleted',
  version: 1,
  summary: 'A article was deleted by its owner, or with their account.',
  entity: (d) => d.articleId,
  data: Type.Object({ articleId: IdSchema, ownerId: IdSchema })
})
