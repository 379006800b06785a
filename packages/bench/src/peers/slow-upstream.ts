// A service that takes its time and counts: GET /count tells how many other requests have come, everything else is answered after a while.
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

/** By default long enough that a thousand requests are under way before the first answer. */
const slowMs = Number(process.argv[2] ?? 1_500)
let count = 0

const server = createServer((request, response) => {
  const json = { 'content-type': 'application/json', etag: '"1.abc"' }
  if (request.url === '/count') {
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
