import type { FastifyRequest } from 'fastify'
import { withTidyWords } from '../domain/words.ts'

/** Before the contract is checked, so that a space which a keyboard adds, or how it writes an accent, is not a mistake. */
export const tidied = {
  fastify: {
    async preHandler(request: FastifyRequest) {
      request.body = withTidyWords(request.body)
      request.query = withTidyWords(request.query)
    }
  }
}
