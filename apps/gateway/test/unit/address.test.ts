import t from 'tap'
import { clientAddress, clientProtocol, limitedAddress, parseNetworks } from '../../src/door/address.ts'
import type { Incoming } from '../../src/door/visit.ts'

const TRUSTED = parseNetworks('10.0.0.0/8, 2001:db8:1::/48', 'TRUSTED_PROXIES')
const NOBODY = parseNetworks('', 'TRUSTED_PROXIES')

function from(peer: string | undefined, headers: Record<string, unknown> = {}, encrypted?: boolean): Incoming {
  return { socket: { remoteAddress: peer, encrypted }, headers } as unknown as Incoming
}
const forwarded = (header: unknown, peer = '10.0.0.1', trusted = TRUSTED) =>
  clientAddress(from(peer, { 'x-forwarded-for': header }), trusted)

t.test('networks', async (t) => {
  t.ok(NOBODY.empty)
  t.ok(parseNetworks(' , ,', 'X').empty)
  t.notOk(NOBODY.has('10.0.0.1'))
  t.notOk(TRUSTED.empty)
  const all = parseNetworks('0.0.0.0/0', 'X')
  t.ok(all.has('198.51.100.7'), 'a prefix of no bits is all')
  t.notOk(all.has('2001:db8::1'), '… of its family')
  t.ok(parseNetworks('::/0', 'X').has('2001:db8::1'))
  t.ok(parseNetworks('10.1.2.3/32', 'X').has('10.1.2.3'))
  t.notOk(parseNetworks('10.1.2.3', 'X').has('10.1.2.2'), 'an address alone is itself')
  const one = parseNetworks('2001:db8::1', 'X')
  t.ok(one.has('2001:db8::1'))
  t.notOk(one.has('2001:db8::'), 'an IPv6 address as well')
  t.ok(parseNetworks('2001:db8::/128', 'X').has('2001:db8::'))
  for (const bad of ['10.0.0.0/8.5', '10.0.0.0/x', '300.0.0.1', '::1/', '::1/-1', '10.0.0.0/', '10.0.0.0/33'])
    t.throws(() => parseNetworks(`127.0.0.1,${bad}`, 'SOME_NAME'), {
      message: `Bad configuration: SOME_NAME has ${JSON.stringify(bad)}, which is neither an address nor a CIDR`
    })
  // Decisions are remembered; more addresses than are remembered change none of them.
  for (let i = 0; i < 1_200; i++) {
    const address = `${10 + (i % 2)}.0.${i >> 8}.${i & 255}`
    if (TRUSTED.has(address) !== (i % 2 === 0)) t.fail(address)
  }
  t.ok(TRUSTED.has('10.0.0.0'))
})

t.test('who is not trusted is not heard', async (t) => {
  t.equal(forwarded('203.0.113.5', '198.51.100.7'), '198.51.100.7')
  t.equal(forwarded('203.0.113.5', '10.0.0.1', NOBODY), '10.0.0.1')
  t.equal(forwarded(undefined), '10.0.0.1')
  t.equal(forwarded(['203.0.113.5']), '10.0.0.1', 'Node joins a header that comes twice; a list is none')
  t.equal(clientAddress(from(undefined), TRUSTED), '')
})

t.test('hops are followed from the end, as far as they are trusted', async (t) => {
  t.equal(forwarded('203.0.113.5'), '203.0.113.5')
  t.equal(forwarded('1.1.1.1, 203.0.113.5'), '203.0.113.5')
  t.equal(forwarded('1.1.1.1, 203.0.113.5, 10.0.0.2'), '203.0.113.5')
  t.equal(forwarded('10.0.0.3,10.0.0.2'), '10.0.0.3', 'to the first')
  t.equal(forwarded(''), '10.0.0.1')
  t.equal(forwarded('203.0.113.5,'), '10.0.0.1', 'an empty hop ends it')
  t.equal(forwarded('203.0.113.5, unknown, 10.0.0.2'), '10.0.0.2')
  const proxies = (count: number) => `203.0.113.5${', 10.0.0.2'.repeat(count)}`
  t.equal(forwarded(proxies(15)), '203.0.113.5', 'sixteen hops are followed')
  t.equal(forwarded(proxies(16)), '10.0.0.2', 'and no more')
})

t.test('a hop as proxies write it', async (t) => {
  const cases: [string, string][] = [
    ['203.0.113.5:1', '203.0.113.5'],
    ['203.0.113.5:65535', '203.0.113.5'],
    ['203.0.113.5:123456', '10.0.0.1'],
    ['203.0.113.5:', '10.0.0.1'],
    ['203.0.113.5:x', '10.0.0.1'],
    ['203.0.113.5:80x', '10.0.0.1'],
    ['2001:db8::7', '2001:db8::7'],
    ['[2001:db8::7]', '2001:db8::7'],
    ['[2001:db8::7]:443', '2001:db8::7'],
    ['[2001:db8::7]:123456', '10.0.0.1'],
    ['[2001:db8::7]:', '10.0.0.1'],
    ['[2001:db8::7]x', '10.0.0.1'],
    ['x[2001:db8::7]', '10.0.0.1'],
    ['[2001:db8::7', '10.0.0.1'],
    ['[]', '10.0.0.1'],
    ['[[2001:db8::7]', '10.0.0.1'],
    ['::ffff:203.0.113.5:80', '10.0.0.1'],
    ['::ffff:203.0.113.5', '203.0.113.5'],
    ['[::ffff:203.0.113.5]:80', '203.0.113.5'],
    ['fe80::1%eth0', 'fe80::1'],
    [`${' '.repeat(30)}203.0.113.5${' '.repeat(30)}`, '203.0.113.5'],
    ['x', '10.0.0.1']
  ]
  for (const [hop, address] of cases) t.equal(forwarded(hop), address, JSON.stringify(hop))
  const padded = (length: number) => `${'0'.repeat(0)}203.0.113.5`.padStart(length)
  t.equal(forwarded(padded(79)), '203.0.113.5', 'as long as one can be')
  t.equal(forwarded(padded(80)), '10.0.0.1', 'longer than one can be')
  t.equal(forwarded(`${'1.1.1.1,'.repeat(50)}203.0.113.5`), '203.0.113.5', 'a long list is no long hop')
})

t.test('mapped addresses, however they are spelt', async (t) => {
  const peer = (address: string) => clientAddress(from(address), NOBODY)
  for (const same of [
    '::ffff:1.2.3.4',
    '::FFFF:1.2.3.4',
    '0:0:0:0:0:ffff:1.2.3.4',
    '::ffff:102:304',
    '0000::ffff:0102:0304'
  ])
    t.equal(peer(same), '1.2.3.4', same)
  t.equal(peer('::ffff:c0a8:fffe'), '192.168.255.254')
  t.equal(peer('::ffff:192.168.255.254'), '192.168.255.254')
  t.equal(peer('::ffff:1.2.3.4%eth0'), '1.2.3.4', 'with a zone')
  for (const other of ['::fffe:1.2.3.4', '::1.2.3.4', '1::ffff:1.2.3.4', '::ffff:1:2:3', '2001:db8::ffff:1'])
    t.equal(peer(other), other, other)
  t.equal(peer('1.2.3.4%x'), '1.2.3.4%x', 'no IPv6 address, no zone')
})

t.test('the protocol of a client', async (t) => {
  const of = (peer: string | undefined, told?: unknown, encrypted?: boolean, trusted = TRUSTED) =>
    clientProtocol(from(peer, { 'x-forwarded-proto': told }, encrypted), trusted)
  t.equal(of('198.51.100.7', undefined, true), 'https', 'its own connection is encrypted')
  t.equal(of('10.0.0.1', 'http', true), 'https')
  t.equal(of('10.0.0.1', 'https'), 'https')
  t.equal(of('10.0.0.1', 'https', false), 'https')
  t.equal(of('::ffff:10.0.0.1', 'https'), 'https')
  t.equal(of('10.0.0.1', 'http'), 'http')
  t.equal(of('10.0.0.1'), 'http')
  t.equal(of('198.51.100.7', 'https'), 'http')
  t.equal(of('10.0.0.1', 'https', false, NOBODY), 'http')
  t.equal(of(undefined, 'https'), 'http')
})

t.test('the network that a limit counts', async (t) => {
  const cases: [string, string][] = [
    ['198.51.100.7', '198.51.100.7'],
    ['1:2:3:4:5:6:7:8', '1:2:3:4::'],
    ['1:2:3::8', '1:2:3:0::'],
    ['1::5:6:7:8', '1:0:0:0::'],
    ['1::4:5:6:7:8', '1:0:0:4::'],
    ['1:2:3:4::', '1:2:3:4::'],
    ['::', '0:0:0:0::'],
    ['0001:0020:0a00:00FF::', '1:20:a00:ff::'],
    ['::5:6:7:8:1.2.3.4', '0:0:5:6::'],
    ['1:2:3:4:5:6:1.2.3.4', '1:2:3:4::'],
    ['::ffff:198.51.100.7', '198.51.100.7'],
    ['fe80::1%eth0', 'fe80:0:0:0::']
  ]
  for (const [address, network] of cases) t.equal(limitedAddress(address), network, address)
})
