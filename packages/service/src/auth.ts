import { type RouteContract, SkerryError } from '@skerry/contracts'
import type { onRequestHookHandler } from 'fastify'
import type { Identity } from './identity.ts'
import type { RouteRecorder } from './metrics.ts'

/**
 * The first hook of a route: notes where its metrics go and verifies the token its contract asks for. With `optional`, no token is
 * fine but a bad one is not: a client that believes to be signed in has to know.
 */
export function authHook(
  contract: RouteContract,
  identity: Identity | undefined,
  recorder: RouteRecorder
): onRequestHookHandler {
  if (contract.auth === 'none') {
    return (request, _reply, done) => {
      request.recorder = recorder
      done()
    }
  }
  if (identity === undefined)
    throw new Error(`${contract.method} ${contract.path} takes a token, so the server needs an identity`)
  const required = contract.auth === 'required'
  return (request, _reply, done) => {
    request.recorder = recorder
    const { authorization } = request.headers
    if (authorization === undefined) {
      done(required ? new SkerryError('UNAUTHENTICATED') : undefined)
      return
    }
    const token = bearerOf(authorization)
    if (token === undefined) {
      done(new SkerryError('UNAUTHENTICATED', { detail: 'The Authorization header must be: Bearer <access token>.' }))
      return
    }
    const known = identity.verifyCached(token)
    if (known !== undefined) {
      request.caller = known
      done()
      return
    }
    identity.verify(token, contract.endedSession).then((caller) => {
      request.caller = caller
      done()
    }, done)
  }
}

/** The token of an `Authorization: Bearer` header. */
export function bearerOf(header: string): string | undefined {
  if (header.startsWith('Bearer ')) return header.slice(7)
  return /^bearer +/i.test(header) ? header.slice(header.lastIndexOf(' ') + 1) : undefined
}
