import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join, normalize, resolve } from 'node:path'
import { promisify } from 'node:util'
import { type System, skipWithout, waitFor } from '@skerry/testing'
import type { Test } from 'tap'
import { findChromium, openPage } from '../helpers/browser.ts'

const REPOSITORY = resolve(import.meta.dirname, '../../../..')
const SDK = join(REPOSITORY, 'packages/sdk')

/** What the page does with the SDK as it is published, and tells to the server it came from. */
const SCRIPT = `
import { createClient } from '@skerry/sdk'
const BASE = new URLSearchParams(location.search).get('api')
const report = (what) => fetch('/report', { method: 'POST', body: JSON.stringify(what) })
const settled = (promise) => promise.then((value) => ({ value }), (error) => ({ code: error.code, traced: error.requestId !== undefined }))
try {
  const ada = createClient({ baseUrl: BASE, cacheEntries: 10 })
  const grant = await ada.auth.signup({ email: 'ada@example.com', username: 'ada', password: 'correct horse' })
  await report({ signedUp: grant.user.username })
  // Bob posts, ada listens.
  const bob = createClient({ baseUrl: BASE })
  const other = await bob.auth.signup({ email: 'bob@example.com', username: 'bob', password: 'correct horse' })
  // His profile is there when he has asked for it, whether its event has come or not.
  await bob.users.me()
  await ada.users.follow(other.user.id)
  const live = (transport) => new Promise((resolve, reject) => {
    const seen = { states: [], messages: [] }
    const wanted = new Set()
    const stream = ada.live({
      transport,
      onState(state, error) {
        seen.states.push(error === undefined ? state : state + ': ' + error)
        if (state !== 'open') return
        bob.posts.create({ text: 'by ' + transport }).then((post) => { wanted.add(post.id); check() }, reject)
      },
      onMessage(message) { seen.messages.push(message.data.postId); check() },
      onError: reject
    })
    function check() {
      if (![...wanted].some((id) => seen.messages.includes(id))) return
      stream.close()
      stream.closed.then(() => resolve(seen.states))
    }
  })
  await report({ sse: await live('sse') })
  await report({ websocket: await live('websocket') })
  // A follower's feed is filled by events.
  let feed
  for (;;) {
    feed = await ada.feed.list()
    if (feed.items.length >= 2) break
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  await report({ feed: feed.items.map((item) => item.text).sort() })
  const post = await ada.posts.get(feed.items[0].id)
  const again = await ada.posts.get(feed.items[0].id)
  await report({ etag: ada.etagOf(again) === ada.etagOf(post) && ada.etagOf(post) !== undefined })
  await report({ missing: await settled(ada.posts.get('0'.repeat(26))) })
  const names = ['baggage', 'sentry-trace', 'traceparent', 'tracestate', 'cache-control', 'x-request-id', 'x-skerry-any', 'last-event-id', 'if-none-match', 'if-match', 'idempotency-key', 'b3']
  const headers = Object.fromEntries(names.map((name) => [name, 'a']))
  headers.authorization = 'Bearer ' + grant.accessToken
  const traced = await fetch(BASE + '/v1/posts', { headers })
  await report({ traced: traced.status, shown: traced.headers.has('x-request-id') && traced.headers.has('ratelimit') })
  const large = await fetch(BASE + '/v1/posts', { headers: { 'x-large': 'a'.repeat(20000) } })
  await report({ large: large.status, code: (await large.json()).code })
  await ada.auth.logout()
  await report({ out: await ada.auth.current() })
} catch (error) {
  await report({ failed: String(error?.stack ?? error) })
}
await report({ end: true })
`

const PAGE = `<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,">
<script type="importmap">{"imports":{"@skerry/sdk":"/sdk/sdk/src/index.js","typebox":"/typebox/build/index.mjs"}}</script>
<script type="module">${SCRIPT}</script>`

/** The SDK in a browser, from another origin than the gateway. */
export async function browser(t: Test, system: System): Promise<void> {
  const chromium = await findChromium()
  const needs = skipWithout(chromium === undefined ? 'there is no chromium: apt-get install chromium' : undefined)

  t.test('the SDK in a browser, from another origin than the gateway', needs, async (t) => {
    const dist = t.testdir()
    const env = {
      ...process.env,
      NODE_OPTIONS: '',
      PATH: `${join(REPOSITORY, 'node_modules/.bin')}:${process.env.PATH}`
    }
    const run = promisify(execFile)
    await run('tsc', ['-p', join(SDK, 'tsconfig.build.json'), '--outDir', dist], { env })
    await run(process.execPath, [join(SDK, 'build/link-contracts.ts'), dist], { env })
    const folders: Record<string, string> = { '/sdk/': dist, '/typebox/': join(SDK, 'node_modules/typebox') }

    const reports: Record<string, unknown>[] = []
    const pages = createServer(async (request, response) => {
      const { pathname } = new URL(request.url ?? '/', 'http://page')
      if (pathname === '/report') {
        let text = ''
        for await (const part of request) text += part
        reports.push(JSON.parse(text))
        return response.end('{}')
      }
      const mount = Object.keys(folders).find((prefix) => pathname.startsWith(prefix))
      if (mount === undefined) return response.setHeader('content-type', 'text/html').end(PAGE)
      const file = join(folders[mount]!, normalize(pathname.slice(mount.length)))
      response.setHeader('content-type', 'text/javascript').end(await readFile(file))
    })
    await new Promise<void>((done) => pages.listen(0, '127.0.0.1', done))
    t.teardown(() => {
      pages.closeAllConnections()
      pages.close()
    })
    const { port } = pages.address() as AddressInfo
    const printed = await openPage(t, chromium!, `http://127.0.0.1:${port}/?api=${encodeURIComponent(system.url)}`)
    await waitFor(() => reports.some((report) => report.end), {
      timeoutMs: 120_000,
      message: 'the page is through'
    }).catch((error) => t.fail(error, { reports, printed: printed() }))
    t.same(reports, [
      { signedUp: 'ada' },
      { sse: ['connecting', 'open', 'closed'] },
      { websocket: ['connecting', 'open', 'closed'] },
      { feed: ['by sse', 'by websocket'] },
      { etag: true },
      { missing: { code: 'CNT_POST_NOT_FOUND', traced: true } },
      { traced: 200, shown: true },
      { large: 431, code: 'HEADERS_TOO_LARGE' },
      { out: null },
      { end: true }
    ])
  })
}
