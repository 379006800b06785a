import { join } from 'node:path'
import { type Test, test } from 'tap'
import { checkAnswers } from '../src/gateway/answers.ts'
import { countMisses } from '../src/gateway/coalescing.ts'
import { startNode } from '../src/gateway/processes.ts'
import { ORIGIN_BODY } from '../src/gateway/servers.ts'

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

test('a program that does not start says so', async (t) => {
  await t.rejects(startNode(join(import.meta.dirname, 'no-such-program.ts')), /ended with 1/)
})
