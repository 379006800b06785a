import { authRoutes } from '@skerry/contracts'
import { route } from '@skerry/service'
import type { FastifyInstance } from 'fastify'
import type { SigningKey } from '../domain/signing-key.ts'

/** The public keys, for who verifies tokens elsewhere; they change rarely and nothing in them is private. */
export function jwksRoute(app: FastifyInstance, jwks: SigningKey['jwks']): void {
  route(app, authRoutes.jwks, () => jwks, { cacheControl: 'public, max-age=300' })
}
