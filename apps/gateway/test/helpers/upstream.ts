import { once } from 'node:events'
import { createServer, type IncomingMessage, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { RouteRules } from '@skerry/contracts'
import { announce, type NatsConnection } from '@skerry/service'
import type { Test } from 'tap'

export type Upstream = {
  server: Server
  url: string
  /** Requests that arrived, with their bodies still to be read. */
  requests: IncomingMessage[]
  /** Takes it out of the registry. */
  leave(): Promise<void>
  close(): Promise<void>
}

let made = 0

/** URLs that this process has put into the registry and not taken out: a heartbeat that a busy machine lets expire takes out none of them. */
export const announcedHere = new Set<string>()

/** A bare Node server in the registry under a service's name. */
export async function startUpstream(
  t: Test,
  nc: NatsConnection,
  options: {
    service?: string
    version?: string
    prefixes?: string[]
    routes?: RouteRules[]
    answer?: RequestListener
    announced?: boolean
  }
): Promise<Upstream> {
  const requests: IncomingMessage[] = []
  const server = createServer((request, response) => {
    // The gateway's active check, which is no request of a client.
    if (request.url === '/readyz') {
      response.end()
      return
    }
    requests.push(request)
    const answer = options.answer ?? ((_request, res) => res.end('{}'))
    answer(request, response)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const announced =
    options.announced === false
      ? undefined
      : await announce(nc, {
          service: options.service ?? 'content',
          version: options.version ?? '0.0.0',
          instance: String(++made),
          url,
          weight: 1,
          prefixes: options.prefixes ?? ['/v1/posts'],
          ...(options.routes === undefined ? {} : { routes: options.routes })
        })
  if (announced !== undefined) announcedHere.add(url)
  const leave = async () => {
    announcedHere.delete(url)
    await announced?.drain()
  }
  const close = async () => {
    await leave()
    server.closeAllConnections()
    server.close()
  }
  t.teardown(close)
  return { server, url, requests, leave, close }
}
