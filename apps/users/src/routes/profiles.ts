import { usersRoutes } from '@skerry/contracts'
import { route } from '@skerry/service'
import { withNfc } from '@skerry/text'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { ownProfile } from '../domain/create-profile.ts'
import type { Deps } from '../domain/deps.ts'
import { presentProfile } from '../domain/present.ts'
import { findUsers, getUser, withTidyNames } from '../domain/read-profiles.ts'
import { updateMe } from '../domain/update-profile.ts'

export function profileRoutes(app: FastifyInstance, deps: Deps): void {
  route(app, usersRoutes.getMe, async ({ caller, call }) => presentProfile(await ownProfile(deps, caller, call)))
  route(
    app,
    usersRoutes.updateMe,
    ({ caller, body, ifMatch, call }) =>
      updateMe(deps, caller, body, ifMatch === undefined || ifMatch === 'any' ? undefined : ifMatch.versions, call),
    {
      fastify: {
        async preHandler(request: FastifyRequest) {
          request.body = withNfc(request.body, ['displayName', 'bio'])
        }
      }
    }
  )
  route(app, usersRoutes.getUser, ({ params }) => getUser(deps, params.id))
  route(app, usersRoutes.findUsers, ({ query }) => findUsers(deps, query), {
    fastify: {
      async preHandler(request: FastifyRequest) {
        request.query = withTidyNames(request.query)
      }
    }
  })
}
