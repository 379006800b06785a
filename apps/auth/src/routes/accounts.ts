import { authRoutes } from '@skerry/contracts'
import { route } from '@skerry/service'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { Deps } from '../domain/deps.ts'
import { withTidyNames } from '../domain/names.ts'
import { grantAgain, signUp } from '../domain/sign-up.ts'
import { updateAccount } from '../domain/update-account.ts'
import { clientOf, tellGateway } from './headers.ts'

/** Before the contract is checked, so that a space which a keyboard adds is not a mistake. */
const tidied = {
  async preHandler(request: FastifyRequest) {
    request.body = withTidyNames(request.body)
  }
}

export function accountRoutes(app: FastifyInstance, deps: Deps): void {
  route(app, authRoutes.signup, ({ body, request, call }) => signUp(deps, body, clientOf(request), call), {
    fastify: tidied,
    replay: {
      keep: ({ user, session }) => ({ owner: user.id, kept: session.id }),
      async again(sessionId, { body, request, call, reply }) {
        const { grant, ended } = await grantAgain(deps, String(sessionId), body.password, clientOf(request), call)
        tellGateway(reply, ended)
        return grant
      }
    }
  })
  route(
    app,
    authRoutes.updateAccount,
    async ({ body, caller, call, reply }) => {
      const { account, ended } = await updateAccount(deps, caller, body, call)
      tellGateway(reply, ended)
      return account
    },
    { fastify: tidied }
  )
}
