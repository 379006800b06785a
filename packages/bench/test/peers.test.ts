import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { type Test, test } from 'tap'
import { checkAnswers } from '../src/gateway/answers.ts'
import { countMisses } from '../src/gateway/coalescing.ts'
import { startNode } from '../src/gateway/processes.ts'
import { ORIGIN_BODY, ORIGIN_REQUEST } from '../src/gateway/servers.ts'

async function peer(t: Test, name: string, ...args: string[]) {
  const started = await startNode(join(import.meta.dirname, '../src/peers', name), { args })
  t.teardown(() => started.stop())
  return started
}

test('the bare proxies of Node do the same work', async (t) => {
  const origin = await peer(t, 'json-upstream.ts', ORIGIN_BODY)
  for (const name of ['bare-undici.ts', 'bare-http-proxy.ts']) {
    const target = { url: `${(await peer(t, name, origin.url)).url}/v1/posts/1`, headers: {} }
    await checkAnswers(target, false)
    await t.rejects(checkAnswers(target, true), /nothing is cached/)
  }
})

test('a proxy that answers something else is not measured', async (t) => {
  const other = await peer(t, 'json-upstream.ts', '{}')
  const target = { url: (await peer(t, 'bare-undici.ts', other.url)).url, headers: {} }
  await t.rejects(checkAnswers(target, false), /does not answer what the origin does/)
})

test('an origin that is gone is told as what the proxy answers', async (t) => {
  const origin = await peer(t, 'json-upstream.ts', ORIGIN_BODY)
  const proxy = await peer(t, 'bare-undici.ts', origin.url)
  await origin.stop()
  await t.rejects(checkAnswers({ url: proxy.url, headers: {} }, false), /it answers 502/)
})

test('every request that a proxy lets through to the service is counted', async (t) => {
  const slow = await peer(t, 'slow-upstream.ts', '20')
  const proxy = await peer(t, 'bare-undici.ts', slow.url)
  t.equal(await countMisses(proxy.url, '/v1/slow/1', slow.url, 130), 130)
})

test('a proxy that keeps answers, and one that asks once for many, are told from others', async (t) => {
  const origin = await peer(t, 'json-upstream.ts', ORIGIN_BODY)
  const slow = await peer(t, 'slow-upstream.ts', '20')
  const kept = new Map<string, Promise<Response>>()
  const cache = createServer(async (request, response) => {
    const url = `${request.url!.startsWith('/v1/slow') ? slow.url : origin.url}${request.url}`
    if (!kept.has(url)) kept.set(url, fetch(url))
    const answer = (await kept.get(url)!).clone()
    response.writeHead(answer.status, { [ORIGIN_REQUEST]: answer.headers.get(ORIGIN_REQUEST) ?? '' })
    response.end(await answer.text())
  }).listen(0, '127.0.0.1')
  t.teardown(() => cache.close())
  await once(cache, 'listening')
  const url = `http://127.0.0.1:${(cache.address() as AddressInfo).port}`
  await checkAnswers({ url: `${url}/v1/cached/1`, headers: {} }, true)
  await t.rejects(checkAnswers({ url: `${url}/v1/cached/1`, headers: {} }, false), /something is cached/)
  t.equal(await countMisses(url, '/v1/slow/1', slow.url, 130), 1)
})

test('a program that does not start says so', async (t) => {
  await t.rejects(startNode(join(import.meta.dirname, 'no-such-program.ts')), /ended with 1/)
})
