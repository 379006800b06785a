// Runs in a worker that ends when it has told: the package holds the script of its page as one string of 5 MB. Importing it would cost the
// gateway time in which it serves nobody, and 38 MB for good.
import { parentPort } from 'node:worker_threads'
import reference from '@scalar/fastify-api-reference'
import Fastify from 'fastify'

const SCRIPT = '/docs/scalar.js'

const app = Fastify()
await app.register(reference, {
  routePrefix: '/docs',
  configuration: {
    url: '/openapi.json',
    cdn: SCRIPT,
    pageTitle: 'Skerry API',
    authentication: { preferredSecurityScheme: 'bearer' },
    // Nothing is asked of anybody but this gateway: no fonts, no counting, no assistants, no proxy.
    withDefaultFonts: false,
    telemetry: false,
    agent: { disabled: true },
    mcp: { disabled: true },
    hideClientButton: true,
    showDeveloperTools: 'never'
  }
})
const page = await app.inject('/docs/')
const script = await app.inject('/docs/js/scalar.js')
await app.close()
if (page.statusCode !== 200 || script.statusCode !== 200) throw new Error('failed to render the API reference page')

parentPort?.postMessage({ html: page.body, script: script.rawPayload })
