import { conduitRoutes } from '@skerry/contracts'
import { route } from '@skerry/service'
import type { FastifyInstance } from 'fastify'
import { createArticle, deleteArticle, readArticle, setFavorite, updateArticle } from '../domain/articles.ts'
import { addComment, deleteComment, listComments } from '../domain/comments.ts'
import type { Deps } from '../domain/deps.ts'
import { listArticles, listTags, readFeed } from '../domain/lists.ts'
import { requireSession, viewerOf, visitOf } from './scope.ts'

export function articleRoutes(app: FastifyInstance, deps: Deps): void {
  route(app, conduitRoutes.conduitArticles, async (input) =>
    listArticles(deps, await viewerOf(deps, input), input.query)
  )
  route(app, conduitRoutes.conduitFeed, async (input) => readFeed(deps, await requireSession(deps, input), input.query))
  route(app, conduitRoutes.conduitTags, () => listTags(deps))
  route(app, conduitRoutes.conduitCreateArticle, async (input) =>
    createArticle(deps, await requireSession(deps, input), input.body.article, visitOf(input))
  )
  route(app, conduitRoutes.conduitArticle, async (input) =>
    readArticle(deps, await viewerOf(deps, input), input.params.slug)
  )
  route(app, conduitRoutes.conduitUpdateArticle, async (input) =>
    updateArticle(
      deps,
      await requireSession(deps, input),
      { slug: input.params.slug, change: input.body.article },
      visitOf(input)
    )
  )
  route(app, conduitRoutes.conduitDeleteArticle, async (input) =>
    deleteArticle(deps, await requireSession(deps, input), input.params.slug, visitOf(input))
  )
  route(app, conduitRoutes.conduitFavorite, async (input) =>
    setFavorite(deps, await requireSession(deps, input), { slug: input.params.slug, on: true }, visitOf(input))
  )
  route(app, conduitRoutes.conduitUnfavorite, async (input) =>
    setFavorite(deps, await requireSession(deps, input), { slug: input.params.slug, on: false }, visitOf(input))
  )
  route(app, conduitRoutes.conduitComments, async (input) =>
    listComments(deps, await viewerOf(deps, input), input.params.slug)
  )
  route(app, conduitRoutes.conduitAddComment, async (input) =>
    addComment(
      deps,
      await requireSession(deps, input),
      { slug: input.params.slug, body: input.body.comment.body },
      visitOf(input)
    )
  )
  route(app, conduitRoutes.conduitDeleteComment, async (input) =>
    deleteComment(
      deps,
      await requireSession(deps, input),
      { slug: input.params.slug, number: Number(input.params.id) },
      visitOf(input)
    )
  )
}
