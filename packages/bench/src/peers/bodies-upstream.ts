// What bodies are measured in front of: plain Node that takes uploads and gives as many bytes as the last segment of a path says.
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { give } from '@skerry/testing'

const server = createServer((request, response) => {
  if (request.method === 'POST') {
    let size = 0
    request.on('data', (part) => {
      size += part.length
    })
    request.on('end', () => response.end(String(size)))
    return
  }
  const size = Number(/\d+$/.exec(request.url ?? '')?.[0] ?? 0)
  response.writeHead(200, { 'content-length': size })
  give(response, size)
})
server.listen(0, '127.0.0.1')
await once(server, 'listening')
process.send?.({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` })
process.on('disconnect', () => process.exit(0))
