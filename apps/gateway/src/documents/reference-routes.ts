import type { Logger } from '@skerry/service'
import type { FastifyInstance } from 'fastify'
import { loadReferencePage, type ReferencePage } from './reference-page.ts'
import { sendCached } from './send-cached.ts'

/** `/docs`, a page that shows `/openapi.json`, and its script. Made when first asked for. */
export function referenceRoutes(app: FastifyInstance, log: Logger): void {
  let loading: Promise<ReferencePage> | undefined
  const load = () => {
    loading ??= loadReferencePage().catch((error) => {
      loading = undefined
      log.error({ err: error }, 'the page of the reference cannot be made')
      throw error
    })
    return loading
  }
  app.register(async (docs) => {
    // After the gateway's own hook, whose policy lets a page load nothing.
    docs.addHook('onSend', async (_request, reply) => {
      if (loading !== undefined) reply.header('content-security-policy', (await loading).policy)
    })
    for (const path of ['/docs', '/docs/']) {
      docs.get(path, async (request, reply) =>
        sendCached(request, reply, 'text/html; charset=utf-8', (await load()).html)
      )
    }
    docs.get('/docs/scalar.js', async (request, reply) => {
      const { script } = await load()
      const coding = codingOf(request.headers['accept-encoding'])
      reply.header('vary', 'accept-encoding')
      if (coding !== 'identity') reply.header('content-encoding', coding)
      return sendCached(request, reply, 'text/javascript; charset=utf-8', script[coding])
    })
  })
}

/** The best coding that a client takes: brotli, gzip, or none. */
export function codingOf(accepted: string | undefined): 'br' | 'gzip' | 'identity' {
  const named = new Map<string, boolean>()
  for (const part of (accepted ?? '').toLowerCase().split(',')) {
    const [name = '', ...parameters] = part.split(';').map((word) => word.trim())
    named.set(name, !parameters.some((one) => /^q=0(\.0*)?$/.test(one)))
  }
  if (named.get('br') === true) return 'br'
  return named.get('gzip') === true ? 'gzip' : 'identity'
}
