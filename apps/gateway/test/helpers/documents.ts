import { hash } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { defineRoute, type RouteContract, Strict } from '@skerry/contracts'
import { openApiOf } from '@skerry/contracts/openapi'
import type { Instance } from '@skerry/service'
import type { Test } from 'tap'
import Type, { type TSchema } from 'typebox'

export type OpsPort = { url: string; contract: string; asked(): number; close(): Promise<void> }

/** An operations port that serves this document, or answers as it is told to. */
export async function startOpsPort(
  t: Test,
  document: object | string,
  answer?: RequestListener,
  path = '/openapi.json'
): Promise<OpsPort> {
  const body = typeof document === 'string' ? document : JSON.stringify(document)
  let asked = 0
  const server = createServer((request, response) => {
    // A gateway asks how it is as well.
    if (request.url === path) asked++
    if (answer !== undefined) answer(request, response)
    else response.writeHead(request.url === path ? 200 : 404).end(body)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const close = async () => {
    if (!server.listening) return
    server.closeAllConnections()
    server.close()
    await once(server, 'close')
  }
  t.teardown(close)
  const { port } = server.address() as AddressInfo
  return { url: `http://127.0.0.1:${port}`, contract: hash('sha256', body, 'hex'), asked: () => asked, close }
}

/** A contract of a GET below a prefix, whose answer is a component. */
export function getOf(path: string, answer: TSchema): RouteContract {
  const named = [...path.matchAll(/:(\w+)/g)].map(([, name = '']) => [name, Type.String()] as const)
  return defineRoute({
    method: 'GET',
    path,
    tag: path.split('/')[2] ?? '',
    auth: 'required',
    summary: `Gets ${path}.`,
    ...(named.length === 0 ? {} : { params: Strict(Object.fromEntries(named)) }),
    response: { 200: answer },
    errors: []
  })
}

export function documentOf(routes: Record<string, RouteContract>): object {
  return openApiOf({ title: 'x', version: '1', routes })
}

export function instanceOf(
  service: string,
  ops: { url: string; contract: string },
  more: Partial<Instance> = {}
): Instance {
  return {
    service,
    version: '1.0.0',
    instance: '1',
    url: ops.url,
    weight: 1,
    prefixes: [`/v1/${service}`],
    ops: ops.url,
    contract: ops.contract,
    ...more
  }
}
