import { hash } from 'node:crypto'
import { once } from 'node:events'
import { Worker } from 'node:worker_threads'

/** The page that shows the document, and its script in each coding it is sent in. */
export type ReferencePage = {
  html: { body: Buffer; etag: string }
  /** `Content-Security-Policy` of the page. */
  policy: string
  script: Readonly<Record<'identity' | 'br' | 'gzip', { body: Buffer; etag: string }>>
}

/** What the worker tells; buffers come over as plain bytes. */
type Told = { html: string; script: Record<'identity' | 'br' | 'gzip', Uint8Array> }

/** Makes the page of @scalar/fastify-api-reference in a worker, once. Rejects when that fails. */
export async function loadReferencePage(): Promise<ReferencePage> {
  const worker = new Worker(new URL('./reference-worker.ts', import.meta.url), { execArgv: [] })
  try {
    // A worker that fails emits `error`, which rejects.
    const [told] = (await once(worker, 'message')) as [Told]
    return {
      html: tagged(Buffer.from(told.html)),
      policy: policyOf(told.html),
      script: {
        identity: tagged(Buffer.from(told.script.identity)),
        br: tagged(Buffer.from(told.script.br)),
        gzip: tagged(Buffer.from(told.script.gzip))
      }
    }
  } finally {
    await worker.terminate()
  }
}

/** Each coding is a representation of its own, so each has its own tag. */
function tagged(body: Buffer): { body: Buffer; etag: string } {
  return { body, etag: `"${hash('sha256', body, 'base64url')}"` }
}

/** Everything from this gateway and nothing from elsewhere; inline only the scripts that stand in the page, by their hashes. */
export function policyOf(html: string): string {
  const inline = [...html.matchAll(/<script(?![^>]*\ssrc=)[^>]*>([\s\S]*?)<\/script>/g)]
  const scripts = inline.map(([, text = '']) => `'sha256-${hash('sha256', text, 'base64')}'`)
  return [
    "default-src 'none'",
    `script-src 'self' ${scripts.join(' ')}`,
    // It sets styles by script and in attributes.
    "style-src 'self' 'unsafe-inline'",
    "img-src 'self' data: blob:",
    "font-src 'self' data:",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'"
  ].join('; ')
}
