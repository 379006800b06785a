import { hash } from 'node:crypto'
import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import { type OwnDocument, ownDocument } from './send-document.ts'

/** The page that shows the document, and its script. */
export type ReferencePage = {
  html: OwnDocument
  /** `Content-Security-Policy` of the page. */
  policy: string
  script: OwnDocument
}

/** What the worker tells; a buffer comes over as plain bytes. */
type Told = { html: string; script: Uint8Array }

/** Makes the page of @scalar/fastify-api-reference in a worker, once. Rejects when that fails. */
export async function loadReferencePage(): Promise<ReferencePage> {
  const worker = new Worker(new URL('./reference-worker.ts', import.meta.url), { execArgv: [] })
  try {
    // A worker that fails emits `error`, which rejects.
    const [told] = (await once(worker, 'message')) as [Told]
    return {
      html: ownDocument('text/html; charset=utf-8', told.html),
      policy: policyOf(told.html),
      script: ownDocument('text/javascript; charset=utf-8', told.script)
    }
  } finally {
    await worker.terminate()
  }
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
