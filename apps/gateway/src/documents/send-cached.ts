import { noneMatch } from '@skerry/service'
import type { FastifyReply, FastifyRequest } from 'fastify'

/** Answers with something that caches may keep as long as they ask each time whether it is still that; 304 when it is. */
export function sendCached(
  request: FastifyRequest,
  reply: FastifyReply,
  type: string,
  { body, etag }: { body: Buffer; etag: string }
): FastifyReply {
  reply.header('etag', etag).header('cache-control', 'public, max-age=0, must-revalidate')
  const known = request.headers['if-none-match']
  if (known !== undefined && noneMatch(known, etag)) return reply.code(304).send()
  return reply.header('content-type', type).send(body)
}
