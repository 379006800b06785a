// A service that takes its time below /v1 and counts the requests that come for it; GET /count tells how many. Everything else, such as a
// check of its health, is answered at once.
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

/** By default long enough that a thousand requests are under way before the first answer. */
const slowMs = Number(process.argv[2] ?? 1_500)
let count = 0

const server = createServer((request, response) => {
  const json = { 'content-type': 'application/json', etag: '"1.abc"' }
  if (!request.url?.startsWith('/v1/')) {
    response.writeHead(200, json).end(JSON.stringify({ count }))
    return
  }
  count++
  setTimeout(() => response.writeHead(200, json).end(JSON.stringify({ id: '1', text: 'slow' })), slowMs)
})
server.listen(0, '127.0.0.1', () => {
  process.send?.({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` })
})
process.on('disconnect', () => process.exit(0))
