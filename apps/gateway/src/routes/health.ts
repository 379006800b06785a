import { type Checks, runChecks } from '@skerry/service'
import type { FastifyInstance } from 'fastify'

/** `/livez` and `/readyz` for load balancers. They say whether, not why: reasons are on the operations port. */
export function healthRoutes(app: FastifyInstance, checks: Checks): void {
  app.get('/livez', (_request, reply) => {
    reply.header('cache-control', 'no-store').send({ status: 'ok' })
  })
  app.get('/readyz', async (_request, reply) => {
    const { ready } = await runChecks(checks)
    const leaving = app.skerry.draining
    return reply
      .code(ready && !leaving ? 200 : 503)
      .header('cache-control', 'no-store')
      .send({ status: ready && !leaving ? 'ok' : 'unavailable' })
  })
}
