import { createServer } from 'node:net'
import t from 'tap'
import { networkLines, networkUrls, publicAddress } from '../src/up/address.ts'
import { callers, ignoredLine, inherited } from '../src/up/environment.ts'

const ipv4 = { netmask: '', mac: '', cidr: null, family: 'IPv4' as const }
const ipv6 = { netmask: '', mac: '', cidr: null, family: 'IPv6' as const, scopeid: 0 }
const INTERFACES = {
  lo: [
    { ...ipv4, address: '127.0.0.1', internal: true },
    { ...ipv6, address: '::1', internal: true }
  ],
  wlan0: [
    { ...ipv4, address: '192.168.1.20', internal: false },
    { ...ipv6, address: '2001:db8::7', internal: false },
    { ...ipv6, address: 'fe80::7', internal: false }
  ]
}

t.test('where the gateway listens, and its URL for this machine', async (t) => {
  for (const [HOST, host, url] of [
    ['', '127.0.0.1', '127.0.0.1'],
    ['0.0.0.0', '0.0.0.0', '127.0.0.1'],
    ['::', '::', '127.0.0.1'],
    ['127.0.0.1', '127.0.0.1', '127.0.0.1'],
    ['::1', '::1', '[::1]'],
    ['localhost', 'localhost', 'localhost']
  ] as const) {
    const address = await publicAddress({ HOST, PORT: '0' })
    t.match(address, { host, url: `http://${url}:${address.port}` }, HOST)
    t.ok(address.port > 0)
  }
})

t.test('URLs for others on the network', async (t) => {
  const urls = (host: string) => networkUrls({ host, port: 8080 }, INTERFACES).map(({ url, name }) => `${name} ${url}`)
  t.same(urls('127.0.0.1'), [])
  t.same(urls('0.0.0.0'), ['wlan0 http://192.168.1.20:8080'])
  t.same(urls('::'), ['wlan0 http://192.168.1.20:8080', 'wlan0 http://[2001:db8::7]:8080'])
  t.same(urls('2001:db8::7'), ['wlan0 http://[2001:db8::7]:8080'])
  t.same(networkLines({ host: '127.0.0.1', port: 8080, url: '' }), [], 'nothing to say')
})

t.test('what cannot be listened on is one line', async (t) => {
  const refused = async (env: NodeJS.ProcessEnv, message: RegExp) =>
    t.rejects(publicAddress(env), { name: 'StartError', message })
  // TEST-NET-3 and the documentation prefix are nobody's.
  for (const HOST of ['203.0.113.9', '2001:db8::dead', 'no-such-host.invalid'])
    await refused(
      { HOST },
      /^HOST=\S+ is no address of this machine \(127\.0\.0\.1.*\): set one of these, or 0\.0\.0\.0 or :: for all$/
    )
  await refused({ HOST: 'fe80::1%eth0' }, /^HOST=fe80::1%eth0 has a zone/)
  const taken = createServer().listen(0, '127.0.0.1')
  await new Promise((resolve) => taken.once('listening', resolve))
  t.teardown(() => void taken.close())
  const { port } = taken.address() as { port: number }
  for (const HOST of ['127.0.0.1', '0.0.0.0', '::'])
    await refused({ HOST, PORT: String(port) }, new RegExp(`^port ${port} is in use: set PORT to another`))
})

t.test('settings are passed on, but not what each part has of its own; what is set in vain is named', (t) => {
  const env = {
    LOG_LEVEL: 'debug',
    DEFAULT_AUTH: 'required',
    HOST: '::',
    PORT: '1',
    MONGO_URL: 'mongodb://x',
    OPS_PORT: '9',
    SKERRY_HOME: '/x'
  }
  const passed = inherited('/home', env)
  t.equal(passed.LOG_LEVEL, 'debug')
  t.equal(passed.DEFAULT_AUTH, 'required')
  for (const name of ['HOST', 'PORT', 'MONGO_URL', 'OPS_PORT', 'SKERRY_HOME']) t.notOk(name in passed, name)
  t.equal(ignoredLine(env), 'not passed on from the environment: OPS_PORT (each instance takes a free one)')
  t.equal(
    ignoredLine({ OPS_PORT: '', HOST: '::', PORT: '1', MONGO_URL: 'mongodb://x' }),
    undefined,
    'they mean something'
  )
  t.match(
    ignoredLine({ NATS_USER: 'me', ADVERTISE_OPS_URL: 'http://x' }),
    /: NATS_USER \(.*\), ADVERTISE_OPS_URL \(each instance has its own\)$/
  )
  t.end()
})

t.test('the gateway believes one loopback address, from which services call on behalf of others', async (t) => {
  const { service, gateway } = await callers('http://127.0.0.1:8080', {})
  t.same([service, gateway], [{ API_FROM: '127.0.0.2' }, { TRUSTED_PROXIES: '127.0.0.2/32' }])
  t.same((await callers('http://127.0.0.1:8080', { TRUSTED_PROXIES: '10.0.0.0/8' })).gateway, {
    TRUSTED_PROXIES: '10.0.0.0/8,127.0.0.2/32'
  })
  const none = { service: {}, gateway: {} }
  t.same(await callers('http://[::1]:8080', { TRUSTED_PROXIES: '10.0.0.0/8' }), none)
  // Of the documentation's addresses (RFC 5737) no machine has one, as a Mac has no 127.0.0.2.
  t.same(await callers('http://127.0.0.1:8080', {}, '203.0.113.7'), none, 'nor where the machine has no such address')
  t.notOk('LIMIT_EXEMPT' in inherited('/home', {}), 'nobody is without limits')
  t.equal(inherited('/home', { LIMIT_EXEMPT: '10.0.0.0/8' }).LIMIT_EXEMPT, '10.0.0.0/8', 'unless they are told to be')
})
