import { once } from 'node:events'
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Test } from 'tap'

export type Origin = { url: string; requests: IncomingMessage[] }

/** A bare server for a gateway alone: nobody announces it. It answers `path name` unless told otherwise. */
export async function startOrigin(t: Test, name: string, answer?: RequestListener) {
  const requests: IncomingMessage[] = []
  const server = createServer((request: IncomingMessage, response: ServerResponse) => {
    requests.push(request)
    if (answer === undefined) response.end(`${request.url} ${name}`)
    else answer(request, response)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, requests, server }
}
