import type { IncomingMessage } from 'node:http'
import t from 'tap'
import { clientAddress, clientProtocol, limitedAddress, parseNetworks } from '../src/door/address.ts'
import { startGateway } from './helpers/gateway.ts'
import { sendRaw } from './helpers/raw.ts'
import { startUpstream } from './helpers/upstream.ts'

const TRUSTED = parseNetworks('10.0.0.0/8, 2001:db8:1::/48', 'TRUSTED_PROXIES')

function from(peer: string, forwarded?: string, protocol?: string): IncomingMessage {
  const headers = { 'x-forwarded-for': forwarded, 'x-forwarded-proto': protocol }
  return { socket: { remoteAddress: peer }, headers } as unknown as IncomingMessage
}

t.test('the address of a client', async (t) => {
  const cases: [about: string, peer: string, header: string | undefined, address: string][] = [
    ['nobody is in front', '198.51.100.7', undefined, '198.51.100.7'],
    ['a client that claims to be a proxy', '198.51.100.7', '10.0.0.9', '198.51.100.7'],
    ['a client that claims another address', '198.51.100.7', '203.0.113.5', '198.51.100.7'],
    ['one proxy', '10.0.0.1', '198.51.100.7', '198.51.100.7'],
    ['what the client wrote stands before what the proxy wrote', '10.0.0.1', '1.1.1.1, 198.51.100.7', '198.51.100.7'],
    ['a client that claims a proxy', '10.0.0.1', '203.0.113.5, 10.0.0.2, 198.51.100.7', '198.51.100.7'],
    ['two proxies', '10.0.0.1', '1.1.1.1,198.51.100.7 , 10.0.0.2', '198.51.100.7'],
    ['all hops are proxies', '10.0.0.1', '10.0.0.3, 10.0.0.2', '10.0.0.3'],
    ['no header', '10.0.0.1', undefined, '10.0.0.1'],
    ['an empty header', '10.0.0.1', '', '10.0.0.1'],
    ['an empty hop', '10.0.0.1', '198.51.100.7,', '10.0.0.1'],
    ['unknown', '10.0.0.1', '198.51.100.7, unknown', '10.0.0.1'],
    ['unknown behind a proxy', '10.0.0.1', 'unknown, 10.0.0.2', '10.0.0.2'],
    ['an identifier', '10.0.0.1', '_hidden', '10.0.0.1'],
    ['a port', '10.0.0.1', '198.51.100.7:4711', '198.51.100.7'],
    ['a port of a proxy', '10.0.0.1', '198.51.100.7, 10.0.0.2:80', '198.51.100.7'],
    ['an IPv6 address', '10.0.0.1', '2001:db8::7', '2001:db8::7'],
    ['in brackets', '10.0.0.1', '[2001:db8::7]', '2001:db8::7'],
    ['in brackets with a port', '10.0.0.1', '[2001:db8::7]:443', '2001:db8::7'],
    ['a broken bracket', '10.0.0.1', '[2001:db8::7', '10.0.0.1'],
    ['rubbish after a bracket', '10.0.0.1', '[2001:db8::7]x', '10.0.0.1'],
    ['a name in brackets', '10.0.0.1', '[proxy]', '10.0.0.1'],
    ['a zone', '10.0.0.1', 'fe80::1%eth0', 'fe80::1'],
    ['a zone of the peer', 'fe80::1%eth0', '1.1.1.1', 'fe80::1'],
    ['a proxy with IPv6', '2001:db8:1::5', '198.51.100.7', '198.51.100.7'],
    ['a mapped peer', '::ffff:10.0.0.1', '198.51.100.7', '198.51.100.7'],
    ['a mapped hop', '10.0.0.1', '::FFFF:198.51.100.7', '198.51.100.7'],
    ['a mapped hop, otherwise spelt', '10.0.0.1', '0:0:0:0:0:ffff:c633:6407', '198.51.100.7'],
    ['a proxy spelt as mapped', '10.0.0.1', '198.51.100.7, ::ffff:a00:2', '198.51.100.7'],
    ['octal', '10.0.0.1', '198.051.100.007', '10.0.0.1'],
    ['a number', '10.0.0.1', '3325256711', '10.0.0.1'],
    ['a script', '10.0.0.1', '<script>', '10.0.0.1']
  ]
  for (const [about, peer, header, address] of cases)
    t.equal(clientAddress(from(peer, header), TRUSTED), address, about)
  t.equal(clientAddress(from('10.0.0.1', '1.1.1.1'), parseNetworks('', 'X')), '10.0.0.1', 'nobody is trusted')
  t.equal(clientAddress({ socket: {}, headers: {} } as IncomingMessage, TRUSTED), '', 'the socket has gone')
})

t.test('a list is read from its end, and not without end', async (t) => {
  const many = Array.from({ length: 1_000 }, () => '10.0.0.2').join(', ')
  t.equal(
    clientAddress(from('10.0.0.1', `198.51.100.7, ${many}`), TRUSTED),
    '10.0.0.2',
    'more proxies than are followed'
  )
  t.equal(clientAddress(from('10.0.0.1', `${'1.1.1.1, '.repeat(1_000)}198.51.100.177`), TRUSTED), '198.51.100.177')
  t.equal(clientAddress(from('10.0.0.1', 'x'.repeat(10_000)), TRUSTED), '10.0.0.1', 'one endless hop')
  t.equal(clientAddress(from('10.0.0.1', ','.repeat(10_000)), TRUSTED), '10.0.0.1', 'commas alone')
})

t.test('the protocol of a client', async (t) => {
  t.equal(clientProtocol(from('10.0.0.1', undefined, 'https'), TRUSTED), 'https')
  t.equal(clientProtocol(from('198.51.100.7', undefined, 'https'), TRUSTED), 'http', 'a client cannot say')
  t.equal(clientProtocol(from('10.0.0.1', undefined, 'https, http'), TRUSTED), 'http')
})

t.test('whom a limit by address counts', async (t) => {
  t.equal(limitedAddress('2001:DB8::6'), limitedAddress('2001:0db8:0:0:ffff::1'), 'one network however it is spelt')
  t.not(limitedAddress('2001:db8:0:1::6'), limitedAddress('2001:db8::6'))
  t.equal(limitedAddress('64:ff9b::198.51.100.7'), '64:ff9b:0:0::')
  t.equal(limitedAddress('::5:6:7:8:1.2.3.4'), '0:0:5:6::')
  t.equal(limitedAddress('::ffff:198.51.100.7'), limitedAddress('::ffff:c633:6407'), 'mapped addresses are not all one')
  t.not(limitedAddress('::ffff:198.51.100.7'), limitedAddress('::ffff:198.51.100.8'))
  for (let i = 0; i < 3_000; i++) limitedAddress(`2001:db8:${i.toString(16)}::1`)
  t.equal(limitedAddress('2001:db8:bb7::1'), '2001:db8:bb7:0::', 'also when more were seen than are remembered')
})

t.test('networks', async (t) => {
  const networks = parseNetworks('::ffff:10.0.0.0/104', 'X')
  t.ok(networks.has('10.1.2.3'), 'an IPv4 network written as IPv6')
  t.notOk(networks.has('11.1.2.3'))
  t.notOk(networks.has('fe80::1%eth0'))
})

t.test('through a real socket', async (t) => {
  const g = await startGateway(t, {
    env: {
      TRUSTED_PROXIES: '127.0.0.1',
      LIMIT_ADDRESS_PER_SECOND: '0.01',
      LIMIT_ADDRESS_BURST: '3',
      LIMIT_USER_PER_SECOND: '0.01',
      LIMIT_USER_BURST: '3'
    }
  })
  const upstream = await startUpstream(t, g.nc, {})
  await g.live('content', 1)
  const ask = async (...headers: string[]) => {
    const lines = headers.map((header) => `${header}\r\n`).join('')
    return (await sendRaw(g.port, `GET /v1/posts HTTP/1.1\r\nhost: x\r\n${lines}connection: close\r\n\r\n`)).status
  }

  t.test('several headers are one list', async (t) => {
    t.equal(await ask('x-forwarded-for: 1.1.1.1', 'X-Forwarded-For: 198.51.100.7'), 200)
    t.equal(upstream.requests.at(-1)?.headers['x-forwarded-for'], '198.51.100.7')
  })

  t.test('who invents a new address for each request has one count', async (t) => {
    const statuses = []
    for (let i = 0; i < 5; i++) statuses.push(await ask(`x-forwarded-for: 203.0.113.${i}, 198.51.100.8`))
    t.strictSame(statuses, [200, 200, 200, 429, 429])
  })

  t.test('users behind one address have a count each, and who is not signed in another', async (t) => {
    const nat = 'x-forwarded-for: 198.51.100.9'
    for (const sub of ['ada', 'bob', 'cat']) {
      const authorization = `authorization: Bearer ${g.issuer.token({ sub })}`
      const statuses = []
      for (let i = 0; i < 4; i++) statuses.push(await ask(nat, authorization))
      t.strictSame(statuses, [200, 200, 200, 429], sub)
    }
    t.equal(await ask(nat), 200)
  })

  t.test('tokens that do not verify make no counts of their own', async (t) => {
    const statuses = []
    for (let i = 0; i < 5; i++) {
      const forged = g.issuer.token({ sub: `forged${i}` }).slice(0, -4)
      statuses.push(await ask('x-forwarded-for: 198.51.100.10', `authorization: Bearer ${forged}AAAA`))
    }
    t.strictSame(statuses, [401, 401, 401, 429, 429])
  })
})
