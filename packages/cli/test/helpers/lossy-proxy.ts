import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'

type Tap = { teardown(work: () => void): unknown }

export type LossyProxy = {
  url: string
  /** The status of each answer that did not reach the client. */
  lost: number[]
}

/** A proxy that lets every request through, and loses the first answer to each that matches: the work is done, and nobody hears of it. */
export async function startLossyProxy(
  t: Tap,
  upstream: string,
  loses: (method: string, path: string) => boolean
): Promise<LossyProxy> {
  const lost: number[] = []
  const seen = new Set<string>()
  const server = createServer(async (request, response) => {
    const { method = '', url = '', headers } = request
    const { host: _host, connection: _connection, 'content-length': _length, ...rest } = headers
    const body = await buffer(request)
    const answer = await fetch(upstream + url, {
      method,
      headers: rest as Record<string, string>,
      ...(body.length === 0 ? {} : { body })
    })
    const bytes = Buffer.from(await answer.arrayBuffer())
    const what = `${method} ${url}`
    if (loses(method, url) && !seen.has(what)) {
      seen.add(what)
      lost.push(answer.status)
      request.socket.destroy()
      return
    }
    const { 'content-encoding': _coding, 'content-length': _size, ...told } = Object.fromEntries(answer.headers)
    response.writeHead(answer.status, told).end(bytes)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, lost }
}
