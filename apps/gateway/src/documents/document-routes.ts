import { gatewayRoutes, type RouteContract } from '@skerry/contracts'
import { houseErrors, openApiOf } from '@skerry/contracts/openapi'
import type { FastifyInstance } from 'fastify'
import type { Held } from './collector.ts'
import { fetchDocument } from './fetch-document.ts'
import { mergeDocuments } from './merge.ts'
import { referenceRoutes } from './reference-routes.ts'
import { type OwnDocument, ownDocument, type SendDocument } from './send-document.ts'
import { readDocument, type ServiceDocument } from './service-document.ts'
import { type CollectingOptions, startCollector } from './start-collector.ts'

export type DocumentOptions = CollectingOptions & {
  send: SendDocument
  /** The service that a path leads to. */
  holderOf(path: string): string | undefined
}

/** Own answers that carry an ETag. */
const TAGGED: readonly RouteContract[] = [gatewayRoutes.openApi, gatewayRoutes.asyncApi, gatewayRoutes.eventSchema]

const JSON_TYPE = 'application/json; charset=utf-8'
const INFO = {
  title: 'Skerry API',
  version: 'v1',
  description:
    'All routes behind the gateway. Errors are RFC 9457 problems with a stable `code`. Lists are `{ items, nextCursor }`. `fields` on a GET selects the returned members. Events are at [/docs/events](/docs/events).'
}

/**
 * `/openapi.json`, the document of everything behind the gateway, and `/docs`, the page that shows it. Documents of services are
 * collected as they announce them.
 */
export function documentRoutes(app: FastifyInstance, options: DocumentOptions): void {
  const { holderOf, log, send } = options
  const own = describedRoutes()
  const collect = startCollector(
    app,
    {
      announced: ({ contract }) => contract,
      fetch: async (ops, contract, _service, bounds) =>
        readDocument(await fetchDocument(ops, '/openapi.json', contract, bounds))
    },
    options
  )

  let merged: { made: string; document: OwnDocument } | undefined
  app.get('/openapi.json', async (request, reply) => {
    merged = mergedOf(await collect())
    return send(request, reply, merged.document)
  })
  referenceRoutes(app, log, send)

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
    return { made, document: ownDocument(JSON_TYPE, JSON.stringify(mergeDocuments(INFO, all))) }
  }
}

/** What the gateway answers itself. Its own pages meet no limit and no service, so only a batch has the errors of the house. */
function describedRoutes() {
  const document = openApiOf({
    ...INFO,
    routes: gatewayRoutes,
    common: (contract) => (contract === gatewayRoutes.batch ? houseErrors(contract) : []),
    tagged: (contract) => TAGGED.includes(contract)
  })
  return readDocument(JSON.stringify(document))
}
