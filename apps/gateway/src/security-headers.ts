import helmet from '@fastify/helmet'
import Fastify from 'fastify'

/**
 * The headers @fastify/helmet sets, found out once: they are the same for every answer, and the plugin would make them anew for each,
 * which costs more than proxying does. Answers are JSON, so nothing may be loaded or framed; a service that serves a page says otherwise
 * itself.
 */
export async function findSecurityHeaders(): Promise<(readonly [name: string, value: string])[]> {
  const probe = Fastify()
  await probe.register(helmet, {
    contentSecurityPolicy: { useDefaults: false, directives: { defaultSrc: ["'none'"], frameAncestors: ["'none'"] } },
    // Apps on other origins load media and read answers; which of them may is for CORS to say.
    crossOriginResourcePolicy: { policy: 'cross-origin' },
    frameguard: { action: 'deny' },
    // These speak to pages and to browsers that are gone; a phone pays for each byte.
    crossOriginOpenerPolicy: false,
    originAgentCluster: false,
    xDnsPrefetchControl: false,
    xDownloadOptions: false,
    xPermittedCrossDomainPolicies: false,
    xXssProtection: false
  })
  probe.get('/', (_request, reply) => {
    reply.send()
  })
  const { headers } = await probe.inject('/')
  await probe.close()
  const transport = new Set(['content-length', 'date', 'connection', 'content-type'])
  return Object.entries(headers).flatMap(([name, value]) =>
    typeof value === 'string' && !transport.has(name) ? [[name, value] as const] : []
  )
}
