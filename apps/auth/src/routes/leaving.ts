import { Readable } from 'node:stream'
import { authRoutes } from '@skerry/contracts'
import { route } from '@skerry/service'
import type { FastifyInstance } from 'fastify'
import { deleteAccount, getDeletion } from '../domain/delete-account.ts'
import type { Deps } from '../domain/deps.ts'
import { getExport, readExport, requestExport } from '../domain/export-account.ts'
import { tellGateway } from './headers.ts'

/** What somebody can take with them, and how they go. */
export function leavingRoutes(app: FastifyInstance, deps: Deps): void {
  route(app, authRoutes.deleteAccount, async ({ body, caller, call, reply }) => {
    // An optional body may be absent, which its type does not say.
    const { currentPassword } = (body as typeof body | undefined | null) ?? {}
    const { deletion, ended } = await deleteAccount(deps, caller, currentPassword, call)
    tellGateway(reply, ended)
    return deletion
  })
  route(app, authRoutes.getDeletion, ({ params }) => getDeletion(deps, params.id))
  route(app, authRoutes.requestExport, ({ body, caller, call }) =>
    requestExport(deps, caller, body.currentPassword, call)
  )
  route(app, authRoutes.getExport, ({ caller, params }) => getExport(deps, caller, params.id))
  route(app, authRoutes.downloadExport, async ({ caller, params, reply }) => {
    const text = await readExport(deps, caller, params.id)
    reply.header('content-type', 'application/json; charset=utf-8').header('cache-control', 'no-store')
    reply.header('content-disposition', `attachment; filename="export-${params.id}.json"`)
    return reply.send(Readable.from(text)) as never
  })
}
