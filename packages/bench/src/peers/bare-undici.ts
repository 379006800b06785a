// The least that a proxy of Node can do: plain http in, a pool of undici out, the headers copied, one write. No checks, no limits, no log.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type Dispatcher, Pool } from 'undici'

const CONNECTIONS = 64
const pool = new Pool(process.argv[2] ?? '', { connections: CONNECTIONS, pipelining: 1 })

class Exchange implements Dispatcher.DispatchHandler {
  private readonly response: ServerResponse
  private missing = -1

  constructor(response: ServerResponse) {
    this.response = response
  }

  onRequestStart(): void {}

  onResponseStart(_controller: unknown, status: number, headers: Record<string, string | string[]>): void {
    const { connection, 'keep-alive': keepAlive, ...kept } = headers
    this.missing = Number(kept['content-length'] ?? -1)
    this.response.writeHead(status, kept)
  }

  onResponseData(_controller: unknown, chunk: Buffer): void {
    this.missing -= chunk.length
    // Node sends a string together with the head, a buffer beside it.
    if (this.missing === 0) this.response.end(chunk.toString('latin1'), 'latin1')
    else this.response.write(chunk)
  }

  onResponseEnd(): void {
    if (!this.response.writableEnded) this.response.end()
  }

  onResponseError(): void {
    if (this.response.headersSent) this.response.destroy()
    else this.response.writeHead(502).end()
  }
}

const server = createServer((request: IncomingMessage, response) => {
  const { connection, host, ...headers } = request.headers
  const hasBody = headers['content-length'] !== undefined || headers['transfer-encoding'] !== undefined
  const method = request.method as Dispatcher.HttpMethod
  pool.dispatch({ path: request.url!, method, headers, body: hasBody ? request : null }, new Exchange(response))
})
server.listen(0, '127.0.0.1', () => {
  process.send?.({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` })
})
process.on('disconnect', () => process.exit(0))
