import type { Logger } from '@skerry/service'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
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
  const answer = (part: 'html' | 'script') => async (request: FastifyRequest, reply: FastifyReply) => {
    const page = await load()
    // In place of the gateway's own policy, which lets a page load nothing.
    reply.header('content-security-policy', page.policy)
    return send(request, reply, page[part])
  }
  for (const path of ['/docs', '/docs/']) app.get(path, answer('html'))
  app.get('/docs/scalar.js', answer('script'))
}
