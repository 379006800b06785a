import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Test } from 'tap'
import { readConfig } from '../../src/config.ts'
import { corsHeadersFor } from '../../src/door/cors.ts'
import { createHeads } from '../../src/head/heads.ts'
import type { Reason } from '../../src/listen/http2.ts'
import { createListener, type Listener, type ListenerOptions } from '../../src/listen/listener.ts'
import { createParserRefusal } from '../../src/listen/parser-refusal.ts'
import { mayHaveBody } from '../../src/proxy/body.ts'

export type TestListener = {
  listener: Listener
  port: number
  /** Why HTTP/2 connections were ended. */
  ended: Reason[]
}

/** A listener on a port of its own with the gateway's defaults, except for what `env` says. */
export async function startListener(
  t: Test,
  options: Partial<Omit<ListenerOptions, 'config'>> & { env?: Record<string, string> } = {}
): Promise<TestListener> {
  const ended: Reason[] = []
  const listener = await createListener({
    config: readConfig({ NATS_URL: 'nats://unused', NATS_USER: 'x', NATS_PASSWORD: 'x', ...options.env }),
    handler: (_request: IncomingMessage, response: ServerResponse) => response.end('{}'),
    clientError: createParserRefusal(createHeads({ corsHeaders: corsHeadersFor('*') }), options.onBound),
    onEnded: (reason) => ended.push(reason),
    ...options
  })
  const { port } = await listener.listen({ host: '127.0.0.1', port: 0 })
  t.teardown(async () => {
    listener.server.closeAllConnections()
    await listener.close()
  })
  return { listener, port, ended }
}

/** Answers with what the handler was given and the whole body. */
export function echo(request: IncomingMessage, response: ServerResponse): void {
  const parts: Buffer[] = []
  const answer = () => {
    const { method, url, headers, rawHeaders, httpVersion, complete } = request
    const body = Buffer.concat(parts).toString()
    response.writeHead(200, ['content-type', 'application/json'])
    response.end(JSON.stringify({ method, url, headers, rawHeaders, httpVersion, complete, body }))
  }
  if (!mayHaveBody(request)) answer()
  else request.on('data', (part: Buffer) => parts.push(part)).on('end', answer)
}
