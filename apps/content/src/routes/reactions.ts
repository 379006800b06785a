import { contentRoutes } from '@skerry/contracts'
import { route } from '@skerry/service'
import type { FastifyInstance } from 'fastify'
import { createComment, deleteComment, listComments } from '../domain/comments.ts'
import type { Deps } from '../domain/deps.ts'
import { likePost, unlikePost } from '../domain/likes.ts'
import { tidied } from './tidied.ts'

export function reactionRoutes(app: FastifyInstance, deps: Deps): void {
  route(app, contentRoutes.like, async ({ caller, params, call }) => {
    await likePost(deps, caller, params.id, call)
    return undefined
  })
  route(app, contentRoutes.unlike, async ({ caller, params, call }) => {
    await unlikePost(deps, caller, params.id, call)
    return undefined
  })
  route(
    app,
    contentRoutes.createComment,
    ({ caller, params, body, call }) => createComment(deps, caller, { postId: params.id, text: body.text }, call),
    { ...tidied, keyCommits: true }
  )
  route(app, contentRoutes.listComments, ({ caller, params, query }) =>
    listComments(deps, caller, { ...query, postId: params.id })
  )
  route(app, contentRoutes.deleteComment, async ({ caller, params, call }) => {
    await deleteComment(deps, caller, params.id, call)
    return undefined
  })
}
