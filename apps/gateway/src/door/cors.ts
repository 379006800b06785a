import cors from '@fastify/cors'
import type { FastifyInstance } from 'fastify'

/** Adds what a web app of this origin needs to read an answer; nothing for requests that no browser sent. */
export type CorsHeaders = (origin: string | undefined, headers: Record<string, string>) => void

const EXPOSED = [
  'ETag',
  'Idempotency-Replayed',
  'RateLimit',
  'RateLimit-Policy',
  'Retry-After',
  'Server-Timing',
  'X-Request-Id'
]
const ALLOWED = [
  'Authorization',
  'Content-Type',
  'Idempotency-Key',
  'If-Match',
  'If-None-Match',
  'Last-Event-ID',
  'X-Request-Id',
  'X-Requested-With',
  'traceparent',
  'tracestate'
]

/**
 * CORS for a public API without cookies. @fastify/cors answers the preflights, in a scope of its own: on all routes it would work and
 * send its headers also for phones, which send no `Origin`.
 *
 * @param origins comma-separated origins, or `*`
 */
export function registerCors(app: FastifyInstance, origins: string): CorsHeaders {
  const list = origins.split(',').map((origin) => origin.trim()) // few
  const any = list.includes('*')
  app.register(async (preflights) => {
    await preflights.register(cors, {
      origin: any ? '*' : list,
      methods: ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'],
      allowedHeaders: ALLOWED,
      maxAge: 7_200,
      // A bare OPTIONS is answered like a preflight, which says what the path takes.
      strictPreflight: false
    })
  })
  const exposed = EXPOSED.join(', ')
  return (origin, headers) => {
    if (!any) headers.vary = 'origin'
    if (origin === undefined || !(any || list.includes(origin))) return
    headers['access-control-allow-origin'] = any ? '*' : origin
    headers['access-control-expose-headers'] = exposed
  }
}
