// What proxies are measured in front of where there is no nginx: plain Node answering 0.8 KB of JSON, on two ports, for two instances.
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

const body = Buffer.from(process.argv[2] ?? '')
let answered = 0

async function listen(): Promise<string> {
  const server = createServer((_request, response) => {
    response.writeHead(200, {
      'content-type': 'application/json',
      'content-length': body.length,
      etag: '"1.abc"',
      'x-origin-request': ++answered
    })
    response.end(body)
  })
  server.keepAliveTimeout = 60_000
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

const urls = [await listen(), await listen()]
process.send?.({ url: urls[0], urls })
process.on('disconnect', () => process.exit(0))
