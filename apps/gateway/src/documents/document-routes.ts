import { hash } from 'node:crypto'
import { gatewayRoutes, houseErrors, openApiOf, type RouteContract } from '@skerry/contracts'
import type { Instance, Logger } from '@skerry/service'
import type { FastifyInstance } from 'fastify'
import type { GatewayConfig } from '../config.ts'
import { createCollector, type Held } from './collector.ts'
import { fetchDocument } from './fetch-document.ts'
import { mergeDocuments } from './merge.ts'
import { referenceRoutes } from './reference-routes.ts'
import { sendCached } from './send-cached.ts'
import { readDocument, type ServiceDocument } from './service-document.ts'

export type DocumentOptions = {
  /** Who is there now. */
  live(): readonly Instance[]
  /** The service that a path leads to. */
  holderOf(path: string): string | undefined
  log: Logger
  config: Pick<
    GatewayConfig,
    'DOCUMENT_TIMEOUT_MS' | 'DOCUMENT_LIMIT' | 'DOCUMENT_SERVICES' | 'DOCUMENT_KEEP_MS' | 'DOCUMENT_LOOK_MS'
  >
  /** Milliseconds; injected by tests. */
  now?: () => number
}

/** Own answers that carry an ETag. */
const TAGGED: readonly RouteContract[] = [gatewayRoutes.openApi, gatewayRoutes.asyncApi, gatewayRoutes.eventSchema]

const INFO = {
  title: 'Skerry API',
  version: 'v1',
  description:
    'Everything behind the gateway. Errors are RFC 9457 problems with a stable `code`; lists are `{ items, nextCursor }`; `fields` on a GET asks for some members only. Events are at [/docs/events](/docs/events).'
}

/**
 * `/openapi.json`, the document of everything behind the gateway, and `/docs`, the page that shows it. Documents of services are looked
 * for when somebody asks and every DOCUMENT_LOOK_MS besides, so that one which goes away has been seen.
 */
export function documentRoutes(app: FastifyInstance, options: DocumentOptions): void {
  const { live, holderOf, log, config } = options
  const own = ownDocument()
  const collector = createCollector({
    source: {
      announced: ({ contract }) => contract,
      fetch: async (ops, contract, _service, bounds) =>
        readDocument(await fetchDocument(ops, '/openapi.json', contract, bounds))
    },
    log,
    timeoutMs: config.DOCUMENT_TIMEOUT_MS,
    maxBytes: config.DOCUMENT_LIMIT,
    maxServices: config.DOCUMENT_SERVICES,
    keepMs: config.DOCUMENT_KEEP_MS,
    ...(options.now === undefined ? {} : { now: options.now })
  })
  const timer = setInterval(() => void collector.collect(live()), config.DOCUMENT_LOOK_MS)
  timer.unref()
  app.addHook('onClose', () => clearInterval(timer))

  let merged: { made: string; body: Buffer; etag: string } | undefined
  app.get('/openapi.json', async (request, reply) => {
    merged = mergedOf(await collector.collect(live()))
    return sendCached(request, reply, 'application/json; charset=utf-8', merged)
  })
  referenceRoutes(app, log)

  /** Made anew only when another document, or another path of one, comes in. */
  function mergedOf(held: ReadonlyMap<string, Held<ServiceDocument>>) {
    const contributions = [...held].map(([service, { document }]) => ({
      service,
      document,
      paths: [...document.paths.keys()].filter((path) => holderOf(path) === service)
    }))
    const made = JSON.stringify(
      contributions.map(({ service, paths }) => [service, held.get(service)?.contract, paths])
    )
    if (merged?.made === made) return merged
    const all = [{ service: 'gateway', document: own, paths: [...own.paths.keys()] }, ...contributions]
    const body = Buffer.from(JSON.stringify(mergeDocuments(INFO, all)))
    return { made, body, etag: `"${hash('sha256', body, 'base64url')}"` }
  }
}

/** What the gateway answers itself. Its own pages meet no limit and no service, so only a batch has the errors of the house. */
function ownDocument() {
  const document = openApiOf({
    ...INFO,
    routes: gatewayRoutes,
    common: (contract) => (contract === gatewayRoutes.batch ? houseErrors(contract) : []),
    tagged: (contract) => TAGGED.includes(contract)
  })
  return readDocument(JSON.stringify(document))
}
