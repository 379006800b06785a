import { SkerryError, type Violation } from '@skerry/contracts'
import { sendProblem } from '@skerry/service'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Visit } from '../api.ts'
import type { Deps } from '../domain/deps.ts'
import { authenticate, type Session } from '../domain/session.ts'
import { ConduitError, unauthorized } from '../errors.ts'

/** Errors of RealWorld's shape; what is none of ours stays a problem, as everywhere. */
export function answerErrors(scope: FastifyInstance): void {
  scope.setErrorHandler((error, request, reply) => {
    if (error instanceof ConduitError) return send(error, request, reply)
    if (error instanceof SkerryError && error.code === 'BAD_REQUEST' && error.errors !== undefined) {
      return send(new ConduitError(422, fieldsOf(error.errors)), request, reply)
    }
    return sendProblem(error, request, reply)
  })
}

function send(error: ConduitError, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const { status, errors, retryAfter } = error
  if (status >= 500) request.log.warn({ err: error.cause ?? error, url: request.routeOptions.url }, 'request failed')
  reply.code(status).header('cache-control', 'no-store')
  if (retryAfter !== undefined) reply.header('retry-after', String(retryAfter))
  if (status === 401) reply.header('www-authenticate', 'Token')
  if (errors === undefined) return reply.send()
  return reply.header('content-type', 'application/json; charset=utf-8').send(JSON.stringify({ errors }))
}

/** Violations by the field that a front end knows: `body.article.title` is `title`. */
function fieldsOf(violations: readonly Violation[]): Record<string, string[]> {
  const fields = Object.groupBy(violations, ({ path }) => {
    const parts = path.split('.')
    return parts[parts[0] === 'body' && parts.length > 2 ? 2 : 1] ?? path
  })
  return Object.fromEntries(Object.entries(fields).map(([name, found = []]) => [name, found.map(messageOf)]))
}

function messageOf({ code, message }: Violation): string {
  const blank = code === 'required' || (code === 'too_short' && message.includes('fewer than 1 '))
  return blank ? "can't be blank" : message
}

type Input = { request: FastifyRequest; call: Visit['call'] }

export function visitOf({ request, call }: Input): Visit {
  const forwarded = request.headers['x-forwarded-for']
  return { call, forwardedFor: Array.isArray(forwarded) ? forwarded.join(', ') : forwarded }
}

/** Who looks, if they say so. */
export function viewerOf(deps: Deps, input: Input): Promise<Session | undefined> {
  return authenticate(deps, input.request.headers.authorization, visitOf(input))
}

/** Who asks. Throws 401 when they don't say so. */
export async function requireSession(deps: Deps, input: Input): Promise<Session> {
  const session = await viewerOf(deps, input)
  if (session === undefined) throw unauthorized()
  return session
}
