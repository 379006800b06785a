import { usersRoutes } from '@skerry/contracts'
import { route } from '@skerry/service'
import type { FastifyInstance } from 'fastify'
import type { Deps } from '../domain/deps.ts'
import { follow, unfollow } from '../domain/follow.ts'
import { listFollows } from '../domain/read-profiles.ts'

export function followRoutes(app: FastifyInstance, deps: Deps): void {
  route(app, usersRoutes.follow, async ({ caller, params, call }) => {
    await follow(deps, caller, params.id, call)
    return undefined
  })
  route(app, usersRoutes.unfollow, async ({ caller, params, call }) => {
    await unfollow(deps, caller, params.id, call)
    return undefined
  })
  route(app, usersRoutes.followers, ({ params, query }) => listFollows(deps, 'followers', params.id, query))
  route(app, usersRoutes.following, ({ params, query }) => listFollows(deps, 'following', params.id, query))
}
