import type { Logger } from '@skerry/service'
import type { FastifyInstance } from 'fastify'
import { loadReferencePage, type ReferencePage } from './reference-page.ts'
import type { SendDocument } from './send-document.ts'

/** `/docs`, a page that shows `/openapi.json`, and its script. Made when first asked for. */
export function referenceRoutes(app: FastifyInstance, log: Logger, send: SendDocument): void {
  let loading: Promise<ReferencePage> | undefined
  const load = () => {
    loading ??= loadReferencePage().catch((error) => {
      loading = undefined
      log.error({ err: error }, 'failed to render the API reference page')
      throw error
    })
    return loading
  }
  app.register(async (docs) => {
    // After the gateway's own hook, whose policy lets a page load nothing.
    docs.addHook('onSend', async (_request, reply) => {
      if (loading !== undefined) reply.header('content-security-policy', (await loading).policy)
    })
    for (const path of ['/docs', '/docs/'])
      docs.get(path, async (request, reply) => send(request, reply, (await load()).html))
    docs.get('/docs/scalar.js', async (request, reply) => send(request, reply, (await load()).script))
  })
}
