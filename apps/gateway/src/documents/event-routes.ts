import { SkerryError } from '@skerry/contracts'
import { asyncApiOf, type DescribedEvent, eventSchemaOf } from '@skerry/contracts/asyncapi'
import type { FastifyInstance } from 'fastify'
import type { Held } from './collector.ts'
import { eventsPage, policyOfEventsPage } from './events-page.ts'
import { fetchDocument } from './fetch-document.ts'
import { type OwnDocument, ownDocument, type SendDocument } from './send-document.ts'
import { readEvents } from './service-events.ts'
import { type CollectingOptions, startCollector } from './start-collector.ts'

const INFO = {
  title: 'Skerry events',
  version: 'v1',
  description:
    'The events that services publish over NATS JetStream, as CloudEvents 1.0 in binary mode. Delivery is at least once, and in order per order key. Consumers must ignore unknown members and unknown values of open enums.'
}

type Made = { made: string; document: OwnDocument; page: OwnDocument; schemas: ReadonlyMap<string, OwnDocument> }

/**
 * `/asyncapi.json`, the document of all events; `/docs/events`, the page that shows it; `/schemas/events/<subject>.json`, the JSON Schema of
 * each. Documents of services are looked for as those of their routes are.
 */
export function eventRoutes(app: FastifyInstance, options: CollectingOptions & { send: SendDocument }): void {
  const { send } = options
  const collect = startCollector<DescribedEvent[]>(
    app,
    {
      announced: ({ events }) => events,
      fetch: async (ops, contract, service, bounds) =>
        readEvents(await fetchDocument(ops, '/asyncapi.json', contract, bounds), service)
    },
    options
  )

  let last: Made | undefined
  const current = async () => {
    last = madeOf(await collect(), last)
    return last
  }
  app.get('/asyncapi.json', async (request, reply) => send(request, reply, (await current()).document))
  app.get<{ Params: { file: string } }>('/schemas/events/:file', async (request, reply) => {
    const subject = request.params.file.replace(/\.json$/, '')
    const schema = (await current()).schemas.get(subject)
    if (schema === undefined || subject === request.params.file)
      throw new SkerryError('NOT_FOUND', { detail: 'There is no such event. /asyncapi.json lists all events.' })
    return send(request, reply, schema)
  })
  app.get('/docs/events', async (request, reply) => {
    const { page } = await current()
    // In place of the gateway's own policy, which lets a page have no style.
    reply.header('content-security-policy', policyOfEventsPage())
    return send(request, reply, page)
  })
}

/** Made anew only when another document comes in. */
function madeOf(held: ReadonlyMap<string, Held<DescribedEvent[]>>, last: Made | undefined): Made {
  const made = JSON.stringify([...held].map(([service, { contract }]) => [service, contract]))
  if (last?.made === made) return last
  const events = [...held.values()].flatMap(({ document }) => document)
  const document = asyncApiOf({ ...INFO, events })
  return {
    made,
    document: ownDocument('application/json; charset=utf-8', JSON.stringify(document)),
    page: ownDocument('text/html; charset=utf-8', eventsPage(INFO, events)),
    schemas: new Map(
      events.map((event) => [
        event.subject,
        ownDocument('application/schema+json', JSON.stringify(eventSchemaOf(event)))
      ])
    )
  }
}
