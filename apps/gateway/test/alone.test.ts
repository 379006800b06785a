import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import type { RequestListener, ServerResponse } from 'node:http'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { childEnv, waitFor } from '@skerry/testing'
import t from 'tap'
import { Agent, request } from 'undici'
import { startOrigin } from './helpers/origin.ts'
import { startProcess } from './helpers/processes.ts'
import { rawGet } from './helpers/raw.ts'
import { createIssuer } from './helpers/tokens.ts'

const MAIN = '../../src/main.ts'
const env = { PORT: '0', DRAIN_MS: '50', IDLE_KEPT_MS: '0' }

/** Starts it with settings that it refuses; resolves with what it said. */
async function refused(settings: Record<string, string>): Promise<{ code: number; said: string }> {
  const child = spawn(process.execPath, [join(import.meta.dirname, '../src/main.ts')], {
    env: { ...childEnv(), ...env, ...settings },
    stdio: ['ignore', 'ignore', 'pipe']
  })
  let said = ''
  child.stderr.on('data', (chunk) => {
    said += chunk
  })
  const [code] = await once(child, 'close')
  return { code, said }
}

t.test('in front of a fixed list, with no NATS, MongoDB or Redis', async (t) => {
  const [one, two, other] = await Promise.all(['one', 'two', 'other'].map((name) => startOrigin(t, name)))
  const gateway = await startProcess(t, MAIN, {
    ...env,
    ROUTES: `/feed=${one!.url},${two!.url};/other/deep=${other!.url}`
  })
  const get = async (path: string, headers: Record<string, string> = {}) => {
    const answer = await fetch(`${gateway.url}${path}`, { headers })
    return { status: answer.status, headers: answer.headers, text: await answer.text() }
  }
  t.equal((await get('/readyz')).status, 200)
  const seen = new Set<string>()
  await waitFor(async () => seen.add((await get('/feed/1?q=2')).text) && seen.size === 2)
  t.same([...seen].sort(), ['/feed/1?q=2 one', '/feed/1?q=2 two'], 'over both addresses')
  t.equal((await get('/other/deep')).text, '/other/deep other')
  for (const path of ['/other', '/feedback', '/v1/posts', '/v1/auth/login'])
    t.equal((await get(path)).status, 404, path)
  const { port } = new URL(gateway.url)
  for (const path of ['/feed/%2e%2e/other/deep', '/feed/../other/deep', '//other/deep'])
    t.equal((await rawGet(Number(port), path)).status, 400, 'paths are guarded as ever')

  const answer = await get('/feed', {
    authorization: 'Bearer who.knows.whom',
    'x-user-id': 'ada',
    'x-forwarded-for': '9.9.9.9'
  })
  t.match(answer.headers.get('ratelimit'), /^"address"/, 'who cannot be known counts by address')
  const passed = [...one!.requests, ...two!.requests].find(
    ({ headers }) => headers.authorization !== undefined
  )?.headers
  t.equal(passed?.authorization, 'Bearer who.knows.whom', 'the token goes on as it came')
  t.equal(passed?.['x-user-id'], undefined)
  t.equal(passed?.['x-forwarded-for'], '127.0.0.1')

  one!.server.closeAllConnections()
  one!.server.close()
  for (let i = 0; i < 20; i++) t.equal((await get('/feed')).text, '/feed two', 'an address that refuses is passed over')
  gateway.child.kill('SIGTERM')
  t.equal(await gateway.exited, 0)
})

t.test('an address with a weight gets more, and a canary with a small one little', async (t) => {
  const together = 40
  const held: ServerResponse[] = []
  // All at once, and answered when all are there: what each has in line decides, not how fast the machine lets it answer.
  const answer: RequestListener = (_request, response) => {
    if (held.push(response) === together) for (const one of held.splice(0)) one.end('{}')
  }
  const [one, two] = await Promise.all(['one', 'two'].map((name) => startOrigin(t, name, answer)))
  const file = join(t.testdir({ routes: `/feed=${one!.url}*20,${two!.url}\n` }), 'routes')
  const gateway = await startProcess(t, MAIN, {
    ...env,
    ROUTES_FILE: file,
    LIMIT_EXEMPT: '127.0.0.0/8',
    SLOW_START_MS: '0',
    HEDGE_MIN_MS: '0',
    HEALTH_INTERVAL_MS: '0',
    DNS_REFRESH_MS: '600000'
  })
  const rounds = async () => {
    const before = [one!.requests.length, two!.requests.length] as const
    await Promise.all(Array.from({ length: together }, async () => (await fetch(`${gateway.url}/feed`)).text()))
    return [one!.requests.length - before[0], two!.requests.length - before[1]] as const
  }
  const [most, few] = await rounds()
  t.ok(most > 3 * few, `${most} and ${few}`)
  await writeFile(file, `/feed=${one!.url},${two!.url}*20\n`)
  gateway.child.kill('SIGHUP')
  await waitFor(() => gateway.output().includes('routes loaded'))
  const [less, more] = await rounds()
  t.ok(more > less, `${less} and ${more}`)

  await t.test('routes change at run time without dropping a connection', async (t) => {
    const held: ServerResponse[] = []
    const one = await startOrigin(t, 'one', (request, response) =>
      request.url === '/feed/held' ? held.push(response) : response.end('one')
    )
    const two = await startOrigin(t, 'two', (_request, response) => response.end('two'))
    const agent = new Agent({ connections: 1, pipelining: 1 })
    t.teardown(() => agent.destroy())
    let connections = 0
    agent.on('connect', () => connections++)
    const get = async (path = '/feed') => {
      const answer = await request(`${gateway.url}${path}`, { dispatcher: agent })
      return { status: answer.statusCode, text: await answer.body.text() }
    }
    const change = async (routes: string) => {
      await writeFile(file, routes)
      gateway.child.kill('SIGHUP')
    }
    await change(`/feed=${one.url} # first\n/first=${one.url}\n`)
    await waitFor(async () => (await get('/first')).text === 'one')
    t.equal((await get()).text, 'one')
    const late = fetch(`${gateway.url}/feed/held`).then((answer) => answer.text())
    await waitFor(() => held.length === 1)

    await change(`/feed=${two.url}\n/other=${two.url}\n`)
    await waitFor(async () => (await get()).text === 'two')
    t.same(await get('/other'), { status: 200, text: 'two' })
    held[0]!.end('late')
    t.equal(await late, 'late', 'what was under way is finished where it was')

    await change('/feed=nowhere\n')
    await waitFor(() =>
      /keeping the current ones: route \/feed has \\"nowhere\\", which is no address/.test(gateway.output())
    )
    t.equal((await get()).text, 'two')
    t.equal(connections, 1)
  })
})

t.test('with keys by URL it knows who asks, and is not ready before it has them', async (t) => {
  const issuer = createIssuer()
  const held: ServerResponse[] = []
  const keys = await startOrigin(t, 'keys', (_request, response) => {
    if (held.push(response) > 1) response.end(JSON.stringify(issuer.jwks))
  })
  const origin = await startOrigin(t, 'origin')
  const file = join(
    t.testdir({
      'rules.json': JSON.stringify([
        { method: 'POST', path: '/feed', auth: 'required' },
        { method: 'GET', path: '/feed/open', auth: 'none' }
      ])
    }),
    'rules.json'
  )
  const starting = startProcess(t, MAIN, {
    ...env,
    ROUTES: `/feed=${origin.url}`,
    RULES_FILE: file,
    JWKS_URL: `${keys.url}/jwks.json`,
    JWT_ISSUER: 'https://login.example',
    JWT_AUDIENCE: 'shop'
  })
  await waitFor(() => held.length === 1, { timeoutMs: 60_000 })
  held[0]!.writeHead(503).end()
  const gateway = await starting
  t.ok(held.length > 1, 'it asked again before it said that it is ready')
  const ask = async (method: string, path: string, authorization?: string) => {
    const answer = await fetch(`${gateway.url}${path}`, {
      method,
      headers: authorization === undefined ? {} : { authorization }
    })
    await answer.body?.cancel()
    return { status: answer.status, limit: answer.headers.get('ratelimit')?.split(';')[0] }
  }
  const good = { iss: 'https://login.example', aud: 'shop' }
  const { authorization } = issuer.bearer(good)
  t.same(await ask('GET', '/feed', authorization), { status: 200, limit: '"user"' })
  t.same(await ask('POST', '/feed', authorization), { status: 200, limit: '"user"' })
  t.same(await ask('GET', '/feed'), { status: 200, limit: '"address"' })
  t.equal((await ask('POST', '/feed')).status, 401)
  for (const bad of [issuer.bearer().authorization, createIssuer().bearer(good).authorization, 'Bearer nonsense'])
    for (const method of ['GET', 'POST']) t.equal((await ask(method, '/feed', bad)).status, 401)
  t.same(await ask('GET', '/feed/open', 'Bearer nonsense'), { status: 200, limit: '"address"' })
})

t.test('a rule is not walked around by a path that its service takes for the same', async (t) => {
  const issuer = createIssuer()
  const keys = await startOrigin(t, 'keys', (_request, response) => response.end(JSON.stringify(issuer.jwks)))
  const origin = await startOrigin(t, 'origin')
  const rules = (list: object[]) => join(t.testdir({ 'rules.json': JSON.stringify(list) }), 'rules.json')
  const RULES_FILE = rules([
    { method: 'GET', path: '/feed/me', auth: 'required' },
    { method: 'GET', path: '/feed/:id', auth: 'none' },
    { method: '*', path: '/feed/admin/*', auth: 'required' }
  ])
  const settings = { ...env, ROUTES: `/feed=${origin.url}`, RULES_FILE, JWKS_URL: keys.url }
  const gateway = await startProcess(t, MAIN, settings)
  const { port } = new URL(gateway.url)
  const ask = async (path: string, headers = '') => (await rawGet(Number(port), path, headers)).status
  const bearer = `authorization: ${issuer.bearer().authorization}\r\n`
  const closed = ['/feed/me', '/feed/me/', '/feed/ME', '/feed/Me/', '/feed/me.json', '/feed/me%20', '/feed/me?x']
  for (const path of [...closed, '/feed/admin', '/feed/ADMIN/users', '/feed/admin/a/b/']) {
    t.equal(await ask(path), 401, path)
    t.equal(await ask(path, bearer), 200, path)
  }
  for (const method of ['POST', 'PUT', 'PATCH', 'DELETE'])
    t.equal((await fetch(`${gateway.url}/feed/Admin/x`, { method })).status, 401, method)
  for (const path of ['/feed/you', '/feed/YOU/', '/feed']) t.equal(await ask(path), 200, path)
  t.ok(origin.requests.every(({ url, headers }) => headers.authorization !== undefined || !/me|admin/i.test(url!)))

  const strict = await startProcess(t, MAIN, { ...settings, DEFAULT_AUTH: 'required' })
  for (const [path, status] of [
    ['/feed', 401],
    ['/feed/a/b', 401],
    ['/feed/you', 200]
  ] as const)
    t.equal((await fetch(`${strict.url}${path}`)).status, status, path)
})

t.test('a write with an Idempotency-Key is sent again only where its service honours keys', async (t) => {
  // Each answers nothing, and may have done it.
  const answer: RequestListener = (request) => request.socket.destroy()
  const [one, two] = await Promise.all(['one', 'two'].map((name) => startOrigin(t, name, answer)))
  const file = join(
    t.testdir({
      'rules.json': JSON.stringify([
        { method: 'POST', path: '/feed/keys', auth: 'none', idempotent: true },
        { method: 'POST', path: '/feed/none', auth: 'none' }
      ])
    }),
    'rules.json'
  )
  const gateway = await startProcess(t, MAIN, {
    ...env,
    ROUTES: `/feed=${one!.url},${two!.url}`,
    RULES_FILE: file,
    LIMIT_EXEMPT: '127.0.0.0/8',
    HEALTH_INTERVAL_MS: '0',
    EJECT_FAILURES: '1000',
    EJECT_MS: '1',
    EJECT_LONGEST_MS: '1',
    RETRY_BUDGET_BURST: '1000'
  })
  const executed = async (path: string, headers: Record<string, string>) => {
    const before = one!.requests.length + two!.requests.length
    t.equal((await fetch(`${gateway.url}${path}`, { method: 'POST', headers })).status, 502)
    return one!.requests.length + two!.requests.length - before
  }
  const key = { 'idempotency-key': 'k1' }
  for (const path of ['/feed/none', '/feed/unnamed', '/feed/keys/'])
    t.equal(await executed(path, key), 1, `${path}: a key that its service may ignore`)
  t.equal(await executed('/feed/keys', {}), 1, 'no key')
  t.equal(await executed('/feed/keys', key), 2)
})

t.test('a file that changes is taken over without being told', async (t) => {
  const [one, two] = [await startOrigin(t, 'one'), await startOrigin(t, 'two')]
  const file = join(t.testdir({ routes: `/feed=${one.url}` }), 'routes')
  const gateway = await startProcess(t, MAIN, { ...env, ROUTES_FILE: file, DNS_REFRESH_MS: '100' })
  t.equal(await (await fetch(`${gateway.url}/feed`)).text(), '/feed one')
  await writeFile(file, `/feed=${two.url}`)
  await waitFor(async () => (await (await fetch(`${gateway.url}/feed`)).text()) === '/feed two')
})

t.test('what cannot be served safely is refused at the start, with a line that says what to do', async (t) => {
  const rules = join(
    t.testdir({ 'rules.json': '[{"method":"GET","path":"/feed/me","auth":"required"}]' }),
    'rules.json'
  )
  const ROUTES = '/feed=http://127.0.0.1:1'
  const cases: Array<[Record<string, string>, RegExp]> = [
    [
      { ROUTES, RULES_FILE: rules },
      /^gateway: rule 1 \(GET \/feed\/me\) says auth "required", but there are no keys.*--jwks\)\n$/
    ],
    [{ ROUTES: '/feed' }, /^gateway: route "\/feed" has no address: write it as .*\n$/],
    [
      { ROUTES, RULES_FILE: '/nowhere/rules.json' },
      /^gateway: RULES_FILE \/nowhere\/rules.json cannot be read: ENOENT.*\n$/
    ],
    [{ ROUTES, ROUTES_FILE: '/x' }, /^gateway: ROUTES and ROUTES_FILE are both there: give one of them\n$/],
    [{ ROUTES, DEFAULT_AUTH: 'required' }, /^gateway: DEFAULT_AUTH is "required", but there are no keys.*\n$/],
    [{ ROUTES, DEFAULT_AUTH: 'perhaps' }, /^gateway: Bad configuration: .*DEFAULT_AUTH/],
    [{ ROUTES, WORKERS: '0', DNS_REFRESH_MS: '1' }, /^gateway: Bad configuration: .*WORKERS.*DNS_REFRESH_MS.*\n$/],
    [{}, /^gateway: Bad configuration: NATS_URL is missing/]
  ]
  for (const [settings, message] of cases) t.match(await refused(settings), { code: 1, said: message })
  const keys: Record<string, string>[] = [
    { JWKS_URL: 'http://login.example/jwks' },
    { JWKS_URL: 'https://login.example/jwks', JWT_ALGORITHMS: 'EdDSA,HS256' }
  ]
  for (const settings of keys)
    t.match(await refused({ ROUTES, ...settings }), {
      code: 1,
      said: /^gateway: .*(give an https URL|HS256 cannot sign)/
    })
})

t.test('a port that is taken is told in a line, by workers as well', async (t) => {
  const taken = new URL((await startOrigin(t, 'one')).url).port
  const ROUTES = '/feed=http://127.0.0.1:1'
  const told = `cannot start: port ${taken} is in use: set `
  for (const name of ['PORT', 'OPS_PORT']) {
    const said = `${told}${name} to another port (0 picks a free one), or stop the process that uses it\n`
    t.same(await refused({ ROUTES, [name]: taken }), { code: 1, said })
  }
  t.match(await refused({ ROUTES, HOST: 'nowhere.invalid' }), {
    code: 1,
    said: /^cannot start: HOST nowhere.invalid is not an address of this machine: use 127.0.0.1, or 0.0.0.0.*\n$/
  })
  const { code, said } = await refused({ ROUTES, PORT: taken, WORKERS: '2' })
  t.equal(code, 1)
  t.match(said, `${told}PORT`)
  t.notMatch(said, /^ +at /m)
})

t.test('while the keys are away it says so and is not ready; then it gives up, and says of what', async (t) => {
  const child = spawn(process.execPath, [join(import.meta.dirname, '../src/main.ts')], {
    env: {
      ...childEnv(),
      ...env,
      ROUTES: '/feed=http://127.0.0.1:1',
      // Nobody listens on it.
      JWKS_URL: 'http://127.0.0.1:1/jwks',
      // Time enough to find out, also on a busy machine.
      START_TIMEOUT_MS: '2000',
      HEALTH_INTERVAL_MS: '0'
    },
    stdio: ['ignore', 'pipe', 'pipe']
  })
  const [out, said, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')])
  t.equal(code, 1)
  t.equal(
    said,
    'cannot start: not ready within 2000 ms (keys: no keys from http://127.0.0.1:1/jwks to verify tokens with yet)\n'
  )
  t.match(out, /failed to fetch the JWKS: no token is accepted and this instance is not ready until it succeeds/)
  t.notMatch(out, /"stack"/)
})
