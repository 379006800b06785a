import { conduitRoutes } from '@skerry/contracts'
import { route } from '@skerry/service'
import type { FastifyInstance } from 'fastify'
import { createArticle, type Deps, deleteArticle, getArticle, listArticles } from '../domain/conduit.ts'

export function registerArticles(app: FastifyInstance, deps: Deps): void {
  route(app, conduitRoutes.createArticle, ({ caller, body, call }) => createArticle(deps, caller.userId, body, call))
  route(app, conduitRoutes.listArticles, ({ caller, query }) => listArticles(deps, caller.userId, query))
  route(app, conduitRoutes.getArticle, ({ caller, params }) => getArticle(deps, caller.userId, params.id))
  route(app, conduitRoutes.deleteArticle, ({ caller, params, ifMatch, call }) =>
    deleteArticle(deps, caller.userId, { id: params.id, ifMatch }, call)
  )
}
