import type { Visit } from '../door/visit.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** What the door found out about it; undefined on routes without a door. */
    visit: Visit | undefined
  }
}

/** The gateway's own paths: Fastify answers them. Everything else belongs to services. */
const OWN = new Set(['/livez', '/readyz', '/openapi.json', '/asyncapi.json', '/docs', '/v1/batch'])

/** Whether the gateway answers a request target itself. */
export function isOwn(url: string): boolean {
  // Nearly all that is asked begins so, and one path of the gateway's own.
  if (url.startsWith('/v1/') && !url.startsWith('batch', 4)) return false
  const end = url.indexOf('?')
  const path = end === -1 ? url : url.slice(0, end)
  return OWN.has(path) || path.startsWith('/docs/') || path.startsWith('/schemas/events/')
}
