import helmet from '@fastify/helmet'
import Fastify from 'fastify'
import t from 'tap'
import { SECURITY_HEADERS } from '../src/head/security-headers.ts'

t.test('they are what @fastify/helmet says', async (t) => {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(helmet, {
    contentSecurityPolicy: { useDefaults: false, directives: { defaultSrc: ["'none'"], frameAncestors: ["'none'"] } },
    crossOriginResourcePolicy: { policy: 'cross-origin' },
    frameguard: { action: 'deny' },
    crossOriginOpenerPolicy: false,
    originAgentCluster: false,
    xDnsPrefetchControl: false,
    xDownloadOptions: false,
    xPermittedCrossDomainPolicies: false,
    xXssProtection: false
  })
  app.get('/', (_request, reply) => {
    reply.send()
  })
  const { headers } = await app.inject('/')
  for (const name of ['content-length', 'date', 'connection']) delete headers[name]
  t.strictSame(headers, Object.fromEntries(SECURITY_HEADERS))
})
