import { authRoutes } from '@skerry/contracts'
import { route } from '@skerry/service'
import type { FastifyInstance } from 'fastify'
import type { Deps } from '../domain/deps.ts'
import { logIn } from '../domain/log-in.ts'
import { refresh } from '../domain/refresh.ts'
import { endSession } from '../domain/revoke.ts'
import { endOneOf, sessionsOf } from '../domain/sessions.ts'
import { clientOf, tellGateway } from './headers.ts'

export function sessionRoutes(app: FastifyInstance, deps: Deps): void {
  route(app, authRoutes.login, async ({ body, request, call, reply }) => {
    const { grant, ended } = await logIn(deps, body, clientOf(request), call)
    tellGateway(reply, ended)
    return grant
  })
  route(app, authRoutes.refresh, ({ body, call }) => refresh(deps, body.refreshToken, call))
  route(app, authRoutes.logout, async ({ caller, call, reply }) => {
    await endSession(deps, caller.userId, caller.sessionId, 'logout', call)
    tellGateway(reply, [caller.sessionId])
    return undefined
  })
  route(app, authRoutes.listSessions, ({ caller, query }) => sessionsOf(deps, caller, query))
  route(app, authRoutes.endSession, async ({ caller, params, call, reply }) => {
    await endOneOf(deps, caller, params.id, call)
    tellGateway(reply, [params.id])
    return undefined
  })
}
