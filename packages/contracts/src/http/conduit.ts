import Type, { type Static } from 'typebox'
import { FieldsSchema, IdSchema, Page, PageQuery, Strict, TimeSchema } from '../common.ts'
import { defineRoute } from '../route.ts'

export const ArticleSchema = Type.Object(
  {
    id: IdSchema,
    ownerId: IdSchema,
    text: Type.String(),
    version: Type.Integer(),
    createdAt: TimeSchema
  },
  { title: 'Article' }
)
export type Article = Static<typeof ArticleSchema>

const byId = Strict({ id: IdSchema })

export const conduitRoutes = {
  createArticle: defineRoute({
    method: 'POST',
    path: '/v1/conduit',
    tag: 'conduit',
    auth: 'required',
    idempotent: true,
    summary: 'Keep a new article.',
    body: Strict({ text: Type.String({ minLength: 1, maxLength: 2000 }) }),
    response: { 201: ArticleSchema },
    errors: ['IDEMPOTENCY_IN_FLIGHT', 'IDEMPOTENCY_MISMATCH']
  }),
  listArticles: defineRoute({
    method: 'GET',
    path: '/v1/conduit',
    tag: 'conduit',
    auth: 'required',
    summary: "The caller's articles, newest first.",
    query: Strict(PageQuery),
    response: { 200: Page(ArticleSchema) },
    errors: ['BAD_CURSOR']
  }),
  getArticle: defineRoute({
    method: 'GET',
    path: '/v1/conduit/:id',
    tag: 'conduit',
    auth: 'required',
    summary: "One of the caller's articles.",
    params: byId,
    query: Strict({ fields: Type.Optional(FieldsSchema) }),
    response: { 200: ArticleSchema },
    errors: ['NOT_FOUND']
  }),
  deleteArticle: defineRoute({
    method: 'DELETE',
    path: '/v1/conduit/:id',
    tag: 'conduit',
    auth: 'required',
    summary: "Delete one of the caller's articles. Honours If-Match.",
    params: byId,
    response: { 204: null },
    errors: ['NOT_FOUND', 'PRECONDITION_FAILED']
  })
}
