import { hash } from 'node:crypto'
import t from 'tap'
import { policyOf } from '../src/documents/reference-page.ts'
import { startGateway } from './helpers/gateway.ts'

t.test('the page of the reference loads what it needs from this gateway and nothing from elsewhere', async (t) => {
  const { url } = await startGateway(t)
  const page = await fetch(`${url}/docs`)
  t.equal(page.status, 200)
  t.equal(page.headers.get('content-type'), 'text/html; charset=utf-8')
  const html = await page.text()
  t.same(
    [...html.matchAll(/(?:src|href|action)=["']([^"']*)["']/g)].map(([, address]) => address),
    ['/docs/scalar.js']
  )
  t.notMatch(html, /https?:|\/\/\w+\./, 'no other address either')
  t.match(html, /"url": "\/openapi\.json"/)
  for (const off of ['"withDefaultFonts": false', '"telemetry": false']) t.ok(html.includes(off), off)

  const policy = page.headers.get('content-security-policy') ?? ''
  const inline = /<script type="text\/javascript">([\s\S]*?)<\/script>/.exec(html)?.[1] ?? ''
  t.match(inline, 'createApiReference')
  const rules = policy.split('; ')
  t.ok(rules.includes("default-src 'none'"))
  t.ok(rules.includes("connect-src 'self'"), 'what the page asks for it asks of this gateway')
  t.ok(rules.includes("frame-ancestors 'none'"))
  t.ok(rules.includes(`script-src 'self' 'sha256-${hash('sha256', inline, 'base64')}'`), 'only the script in the page')
  t.notMatch(policy, /https?:|\*/)
  t.equal(page.headers.get('x-content-type-options'), 'nosniff', 'with what every answer has')

  const etag = page.headers.get('etag') ?? ''
  const again = await fetch(`${url}/docs`, { headers: { 'if-none-match': etag } })
  t.equal(again.status, 304)
  t.equal(again.headers.get('content-security-policy'), policy)
  t.equal((await fetch(`${url}/docs/`)).status, 200)
  t.equal((await fetch(`${url}/docs/other.js`)).status, 404)
  t.match((await fetch(`${url}/livez`)).headers.get('content-security-policy'), /^default-src 'none'/)

  const script = async (accept: string) => {
    const answer = await fetch(`${url}/docs/scalar.js`, { headers: { 'accept-encoding': accept } })
    t.equal(answer.status, 200)
    t.equal(answer.headers.get('content-type'), 'text/javascript; charset=utf-8')
    t.match(answer.headers.get('vary'), 'accept-encoding')
    // fetch has decoded it.
    return { answer, text: await answer.text() }
  }
  const plain = await script('identity')
  const gzip = await script('gzip')
  const brotli = await script('gzip, deflate, br')
  t.equal(plain.answer.headers.get('content-encoding'), null)
  t.equal(gzip.answer.headers.get('content-encoding'), 'gzip')
  t.equal(brotli.answer.headers.get('content-encoding'), 'br')
  t.ok(plain.text.length > 1_000_000)
  t.ok(gzip.text === plain.text && brotli.text === plain.text)
  const tags = [plain, gzip, brotli].map(({ answer }) => answer.headers.get('etag'))
  t.equal(new Set(tags).size, 3, 'each coding has its own tag')
})

t.test('the policy allows the scripts that stand in the page and no other', async (t) => {
  const html = '<script src="/a.js"></script><script>one()</script><script type="module">two()</script>'
  const sum = (text: string) => `'sha256-${hash('sha256', text, 'base64')}'`
  t.match(policyOf(html), `script-src 'self' ${sum('one()')} ${sum('two()')};`)
})
