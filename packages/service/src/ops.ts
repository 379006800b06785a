import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { noneMatch } from './conditional.ts'
import type { Metrics } from './metrics.ts'

/** Readiness by name: a check that throws (or takes over 2 s) makes the instance not ready, with its message shown. */
export type Checks = Record<string, () => Promise<void> | void>

export type Readiness = { ready: boolean; reasons: Record<string, string> }

const CHECK_MS = 2_000

/** Runs all checks at once; one that has not answered within `timeoutMs` has failed. */
export async function runChecks(checks: Checks, timeoutMs = CHECK_MS): Promise<Readiness> {
  const reasons: Record<string, string> = {}
  await Promise.all(
    Object.entries(checks).map(async ([name, check]) => {
      let timer: NodeJS.Timeout | undefined
      const late = new Promise<never>((_resolve, reject) => {
        timer = setTimeout(() => reject(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs)
      })
      try {
        await Promise.race([check(), late])
      } catch (error) {
        reasons[name] = error instanceof Error ? error.message : String(error)
      } finally {
        clearTimeout(timer)
      }
    })
  )
  return { ready: Object.keys(reasons).length === 0, reasons }
}

export type OpsServer = { url: string; close(): Promise<void> }

/** A document and its strong ETag. */
export type OpsDocument = { body: string; etag: string }

/**
 * Serves `/livez` (the event loop turns), `/readyz` (503 with reasons until ready), `/metrics` (Prometheus text), `/openapi.json` and
 * `/asyncapi.json` (404 until there is a document) on a port of its own. A gateway asks there how an instance is and what it takes; it lets nobody else through.
 */
export async function startOps(options: {
  host: string
  port: number
  metrics: { readonly registry: Pick<Metrics['registry'], 'contentType'>; text(): Promise<string> }
  readiness: () => Promise<Readiness>
  document?: () => OpsDocument | undefined
  events?: () => OpsDocument | undefined
}): Promise<OpsServer> {
  const server = createServer(async (request, response) => {
    const send = (status: number, type: string, body: string) => {
      response.writeHead(status, { 'content-type': type, 'cache-control': 'no-store' })
      response.end(request.method === 'HEAD' ? undefined : body)
    }
    const sendDocument = (document: OpsDocument | undefined) => {
      if (document === undefined) return send(404, 'text/plain', 'there is no document\n')
      const { body, etag } = document
      const known = noneMatch(request.headers['if-none-match'] ?? '', etag)
      const type = known ? {} : { 'content-type': 'application/json; charset=utf-8' }
      response.writeHead(known ? 304 : 200, { ...type, etag, 'cache-control': 'no-cache' })
      response.end(known || request.method === 'HEAD' ? undefined : body)
    }
    try {
      if (request.method !== 'GET' && request.method !== 'HEAD') send(405, 'text/plain', 'GET only\n')
      else if (request.url === '/livez') send(200, 'application/json', '{"live":true}\n')
      else if (request.url === '/readyz') {
        const readiness = await options.readiness()
        send(readiness.ready ? 200 : 503, 'application/json', `${JSON.stringify(readiness)}\n`)
      } else if (request.url === '/metrics')
        send(200, options.metrics.registry.contentType, await options.metrics.text())
      else if (request.url === '/openapi.json') sendDocument(options.document?.())
      else if (request.url === '/asyncapi.json') sendDocument(options.events?.())
      else send(404, 'text/plain', 'try /livez, /readyz, /metrics, /openapi.json or /asyncapi.json\n')
    } catch (error) {
      send(500, 'text/plain', `${(error as Error).message}\n`)
    }
  })
  await listen(server, options.host, options.port)
  return {
    url: `http://${hostOf(options.host)}:${(server.address() as AddressInfo).port}`,
    async close() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    }
  }
}

function listen(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    // Exclusive: below a cluster's primary each worker has operations of its own, not a share of one port.
    server.listen({ port, host, exclusive: true }, () => {
      server.off('error', reject)
      resolve()
    })
  })
}

/** A host as it stands in a URL. */
export function hostOf(host: string): string {
  return host.includes(':') ? `[${host}]` : host
}
