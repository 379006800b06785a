import cors from '@fastify/cors'
import type { FastifyInstance } from 'fastify'

/** Adds what a web app of this origin needs to read an answer; nothing for requests that no browser sent. */
export type CorsHeaders = (origin: string | undefined, headers: Record<string, string>) => void

/** Whether pages of an origin may talk to this gateway; who says none is no browser. */
export type OriginAllowed = (origin: string | undefined) => boolean

/** All that answers say in headers and a web app may want to read, beyond what browsers always show. */
export const EXPOSED = [
  'Accept-Patch',
  'Age',
  'Allow',
  'Cache-Status',
  'Content-Disposition',
  'ETag',
  'Idempotency-Replayed',
  'Link',
  'Location',
  'RateLimit',
  'RateLimit-Policy',
  'Retry-After',
  'Server-Timing',
  'Vary',
  'WWW-Authenticate',
  'X-Request-Id'
]

/**
 * Makes the headers of answers to web apps.
 *
 * @param origins comma-separated origins, or `*`
 */
export function corsHeadersFor(origins: string): CorsHeaders {
  const { any, list } = parseOrigins(origins)
  const exposed = EXPOSED.join(', ')
  return (origin, headers) => {
    if (!any) headers.vary = 'origin'
    if (origin === undefined || !(any || list.includes(origin))) return
    headers['access-control-allow-origin'] = any ? '*' : origin
    headers['access-control-expose-headers'] = exposed
  }
}

/** Decides by the same origins, for what CORS does not hold for. */
export function originAllowedBy(origins: string): OriginAllowed {
  const { any, list } = parseOrigins(origins)
  return (origin) => any || origin === undefined || list.includes(origin)
}

/**
 * Answers the preflights of CORS for a public API without cookies, in a scope of its own: on all routes @fastify/cors would work and send
 * its headers also for phones, which send no `Origin`. Which origins may is what is decided here; which headers they send is not: tracing
 * libraries, proxies and SDKs bring their own (`baggage`, `sentry-trace`, `cache-control` …), a list of them would always be behind, and
 * any other client may send them anyway. So what a preflight asks for is what it gets.
 */
export function registerCors(app: FastifyInstance, origins: string): void {
  const { any, list } = parseOrigins(origins)
  app.register(async (preflights) => {
    await preflights.register(cors, {
      origin: any ? '*' : list,
      methods: ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'],
      maxAge: 7_200,
      // A bare OPTIONS is answered like a preflight, which says what the path takes.
      strictPreflight: false
    })
  })
}

function parseOrigins(origins: string): { any: boolean; list: string[] } {
  const list = origins.split(',').map((origin) => origin.trim()) // few
  return { any: list.includes('*'), list }
}
