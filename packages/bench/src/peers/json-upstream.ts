// What proxies are measured in front of: plain Node answering 0.8 KB of JSON, on two ports so that it can stand for two instances.
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

const body = Buffer.from(JSON.stringify({ id: '06b1n7v4kc0j5m3q8w2x9y6z1a', text: 'x'.repeat(760) }))

async function listen(): Promise<string> {
  const server = createServer((_request, response) => {
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': body.length, etag: '"1.abc"' })
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
