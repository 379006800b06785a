import { contentRoutes } from '@skerry/contracts'
import { route } from '@skerry/service'
import type { FastifyInstance } from 'fastify'
import { createPost } from '../domain/create-post.ts'
import type { Deps } from '../domain/deps.ts'
import { deletePost, updatePost } from '../domain/edit-post.ts'
import { readFeed } from '../domain/read-feed.ts'
import { getPost, listPosts } from '../domain/read-posts.ts'
import { readTrends } from '../domain/trends.ts'
import { tidied } from './tidied.ts'

export function postRoutes(app: FastifyInstance, deps: Deps): void {
  route(app, contentRoutes.createPost, ({ caller, body, call }) => createPost(deps, caller, body, call), {
    ...tidied,
    keyCommits: true
  })
  route(app, contentRoutes.getPost, ({ caller, params }) => getPost(deps, caller, params.id))
  route(
    app,
    contentRoutes.updatePost,
    ({ caller, params, body, ifMatch, call }) => updatePost(deps, caller, { id: params.id, ifMatch }, body, call),
    tidied
  )
  route(app, contentRoutes.deletePost, async ({ caller, params, ifMatch, call }) => {
    await deletePost(deps, caller, { id: params.id, ifMatch }, call)
    return undefined
  })
  route(app, contentRoutes.listPosts, ({ caller, query }) => listPosts(deps, caller, query), tidied)
  route(app, contentRoutes.feed, ({ caller, query }) => readFeed(deps, caller, query))
  route(app, contentRoutes.trends, ({ query }) => readTrends(deps, query.limit))
}
