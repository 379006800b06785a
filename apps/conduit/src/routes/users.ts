import { conduitRoutes } from '@skerry/contracts'
import { route } from '@skerry/service'
import type { FastifyInstance } from 'fastify'
import { currentUser, logIn, signUp, updateUser } from '../domain/accounts.ts'
import type { Deps } from '../domain/deps.ts'
import { readProfile, setFollowing } from '../domain/profiles.ts'
import { requireSession, viewerOf, visitOf } from './scope.ts'

export function userRoutes(app: FastifyInstance, deps: Deps): void {
  route(app, conduitRoutes.conduitSignUp, (input) => signUp(deps, input.body.user, visitOf(input)))
  route(app, conduitRoutes.conduitLogIn, (input) => logIn(deps, input.body.user, visitOf(input)))
  route(app, conduitRoutes.conduitUser, async (input) => currentUser(deps, await requireSession(deps, input)))
  route(app, conduitRoutes.conduitUpdateUser, async (input) =>
    updateUser(deps, await requireSession(deps, input), input.body.user, visitOf(input))
  )
  route(app, conduitRoutes.conduitProfile, async (input) =>
    readProfile(deps, await viewerOf(deps, input), input.params.username)
  )
  route(app, conduitRoutes.conduitFollow, async (input) =>
    setFollowing(deps, await requireSession(deps, input), { username: input.params.username, on: true }, visitOf(input))
  )
  route(app, conduitRoutes.conduitUnfollow, async (input) =>
    setFollowing(
      deps,
      await requireSession(deps, input),
      { username: input.params.username, on: false },
      visitOf(input)
    )
  )
}
