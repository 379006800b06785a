import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { type IncomingMessage, type RequestListener, request } from 'node:http'
import { createServer as createTls } from 'node:https'
import { createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buffer, json, text } from 'node:stream/consumers'
import { waitFor } from '@skerry/testing'
import t, { type Test } from 'tap'
import { createAuthority } from './helpers/certificates.ts'
import { openSession } from './helpers/clients.ts'
import { listen } from './helpers/observers.ts'
import { bytesOf, digestOf, MIB, sha, startService, startStreaming, talk } from './helpers/streamed.ts'

// What happens to streamed bodies when a part fails: the failure table of docs/gateway-bodies.md. A gateway of its own process.

type Seen = { ended: number; aborted: number; bytes: number }

/** A service that counts what becomes of the bodies it gets, and answers those that are whole. */
function counting(seen: Seen): RequestListener {
  return (message, response) => {
    message.on('data', (part) => {
      seen.bytes += part.length
    })
    message.on('end', () => {
      seen.ended++
      response.end('{"whole":true}')
    })
    message.on('close', () => {
      if (!message.complete) seen.aborted++
    })
  }
}

const head = (length: number | 'chunked', path = '/f/a', more = '') =>
  `POST ${path} HTTP/1.1\r\nhost: x\r\n${length === 'chunked' ? 'transfer-encoding: chunked' : `content-length: ${length}`}\r\n${more}\r\n`

t.test('a body that does not become whole does not end at its service', async (t) => {
  const seen: Seen = { ended: 0, aborted: 0, bytes: 0 }
  const count = counting(seen)
  let closed = 0
  const service = await startService(t, (message, response) => {
    if (message.method !== 'GET') return count(message, response)
    response.once('close', () => closed++)
    response.writeHead(200, { 'content-length': 1_024 * MIB })
    const give = () => {
      while (response.write(Buffer.alloc(MIB)));
      response.once('drain', give)
    }
    give()
  })
  const gateway = await startStreaming(t, [service.url], { UNREAD_PERIOD_MS: '400' })
  t.beforeEach(() => Object.assign(seen, { ended: 0, aborted: 0, bytes: 0 }))

  t.test('its client breaks off', async (t) => {
    for (const bytes of [`${head(100)}abc`, `${head('chunked')}3\r\nabc\r\n`]) {
      Object.assign(seen, { ended: 0, aborted: 0, bytes: 0 })
      const client = talk(t, gateway.port, bytes)
      await waitFor(() => seen.bytes === 3)
      client.socket.destroy()
      await waitFor(() => seen.aborted === 1)
      t.equal(seen.ended, 0)
    }
    const session = openSession(t, gateway.url)
    const up = session.request({ ':method': 'POST', ':path': '/f/a', 'content-length': 100 })
    up.on('error', () => undefined)
    up.write('abc')
    await waitFor(() => seen.bytes === 6)
    up.close(8)
    await waitFor(() => seen.aborted === 2)
    t.equal(seen.ended, 0, 'over HTTP/2 as well')
  })

  t.test('it is too large: refused before anything is asked, or at the part that is too much', async (t) => {
    const asked = service.requests.length
    const known = await talk(t, gateway.port, head(MIB + 1, '/f/small')).until(/\r\n\r\n./)
    t.match(known, /^HTTP\/1\.1 413 /)
    t.equal(service.requests.length, asked)
    const most = await fetch(`${gateway.url}/f/small`, { method: 'POST', body: bytesOf(MIB) })
    t.equal(most.status, 200)
    const client = talk(t, gateway.port, head('chunked', '/f/small'))
    const part = `${(512 * 1024).toString(16)}\r\n${'x'.repeat(512 * 1024)}\r\n`
    client.socket.write(part)
    client.socket.write(part)
    client.socket.write('1\r\nx\r\n')
    t.match(await client.until(/\r\n\r\n./), /^HTTP\/1\.1 413 [^\r]*\r\n(?:.*\r\n)*connection: close\r\n/i)
    await waitFor(() => seen.aborted === 1)
    t.equal(seen.ended, 1, 'but for the one that was just as large as may be')
    const session = openSession(t, gateway.url)
    const up = session.request({ ':method': 'POST', ':path': '/f/small' })
    up.on('error', () => undefined)
    const answered = once(up, 'response')
    up.end(bytesOf(MIB + 4))
    t.equal((await answered)[0][':status'], 413)
    up.close()
    await waitFor(() => seen.aborted === 2)
  })

  t.test('its client is silent, or slower than the least pace', async (t) => {
    for (const bytes of [head(100_000), `${head(100_000)}abc`]) {
      const client = talk(t, gateway.port, bytes)
      t.match(await client.until(/\r\n\r\n./), /^HTTP\/1\.1 408 /)
    }
    await waitFor(() => seen.aborted >= 1)
    const drip = talk(t, gateway.port, head(1_000))
    const dripping = setInterval(() => drip.socket.write('x'), 50)
    t.teardown(() => clearInterval(dripping))
    t.match(await drip.until(/\r\n\r\n./), /^HTTP\/1\.1 408 /)
    await drip.closed
    t.equal(seen.ended, 0)
  })

  t.test('its last chunk is no chunk, or its length lies', async (t) => {
    const client = talk(t, gateway.port, `${head('chunked')}3\r\nabc\r\n`)
    await waitFor(() => seen.bytes === 3)
    client.socket.write('zz\r\n')
    await client.closed
    await waitFor(() => seen.aborted === 1)
    t.equal(seen.ended, 0)
    const more = talk(
      t,
      gateway.port,
      `${head(3, '/f/a', 'connection: close\r\n')}abcGET /f/b HTTP/1.1\r\nhost: x\r\n\r\n`
    )
    await more.closed
    t.equal(more.heard().split('HTTP/1.1 200').length, 2, 'what is behind it is no part of it')
  })

  t.test('a client that does not read loses its connection, and so does its service', async (t) => {
    const client = talk(t, gateway.port, 'GET /f/a HTTP/1.1\r\nhost: x\r\n\r\n')
    client.socket.pause()
    await waitFor(() => closed === 1)
    const session = openSession(t, gateway.url)
    const down = session.request({ ':path': '/f/a' })
    down.on('error', () => undefined)
    down.pause()
    await waitFor(() => closed === 2)
    const metrics = await (await fetch(`${gateway.ops}/metrics`)).text()
    t.match(metrics, /skerry_gateway_unread_total(\{[^}]*\})? 2/)
    t.match(metrics, /skerry_gateway_streamed_bodies(\{[^}]*\})? 0/)
  })
})

t.test('a write whose client goes when its body is whole ends the old answers all the same', async (t) => {
  let kept = 'old'
  let answer: (() => void) | undefined
  const service = await startService(t, (message, response) => {
    if (message.method === 'GET') response.end(kept)
    else
      message.resume().on('end', () => {
        answer = () => {
          kept = 'new'
          response.end()
        }
      })
  })
  const gateway = await startStreaming(t, [service.url])
  const read = async () => (await fetch(`${gateway.url}/f/kept`)).text()
  t.equal(await read(), 'old')
  const client = talk(t, gateway.port, 'PUT /f/kept HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\nnew')
  await waitFor(() => answer !== undefined)
  t.equal(await read(), 'old')
  t.equal(service.requests.length, 2, 'it is kept')
  client.socket.destroy()
  const metrics = async () => (await fetch(`${gateway.ops}/metrics`)).text()
  await waitFor(async () => /skerry_gateway_streamed_bodies(\{[^}]*\})? 0/.test(await metrics()))
  answer!()
  await waitFor(async () => (await read()) === 'new', { timeoutMs: 20_000 })
})

t.test('services that fail', async (t) => {
  /** What a bare server does with a connection that has brought something. */
  const serve = async (t: Test, take: (socket: Socket, heard: string) => void) => {
    const server = createServer((socket) => {
      let heard = ''
      socket.on('error', () => undefined)
      socket.on('data', (chunk) => {
        heard += chunk.toString('latin1')
        take(socket, heard)
      })
    }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const sockets = new Set<Socket>()
    server.on('connection', (socket) => sockets.add(socket))
    t.teardown(() => {
      for (const socket of sockets) socket.destroy()
      server.close()
    })
    return `http://127.0.0.1:${(server.address() as { port: number }).port}`
  }
  const env = { EJECT_FAILURES: '1000' }
  // One that breaks off every connection, each test in its own way, and the gateway in front of it.
  let breakOff: (socket: Socket, heard: string) => void = () => undefined
  const breaking = await startStreaming(t, [await serve(t, (socket, heard) => breakOff(socket, heard))], env)

  // And one that is silent, in its own way as well.
  let take: (socket: Socket) => unknown = () => undefined
  const silent = await startStreaming(t, [await serve(t, (socket) => void take(socket))], {
    ...{ ...env, UPSTREAM_IDLE_TIMEOUT_MS: '400', UPSTREAM_HEADERS_TIMEOUT_MS: '400', UNREAD_PERIOD_MS: '400' }
  })

  t.test('breaking off in the middle of a body: 502, and the client gets to read it', async (t) => {
    breakOff = (socket, heard) => heard.length > 3_000_000 && socket.destroy()
    const client = talk(t, breaking.port, head(32 * MIB))
    client.socket.write(Buffer.alloc(16 * MIB))
    t.match(await client.until(/\r\n\r\n./), /^HTTP\/1\.1 502 /)
    await client.closed
  })

  t.test('the same over HTTP/2, where a client that says no more keeps no stream open', async (t) => {
    breakOff = (socket, heard) => heard.includes('abc') && socket.destroy()
    const up = openSession(t, breaking.url).request({ ':method': 'POST', ':path': '/f/a' })
    const closed = once(up, 'close')
    up.write('abc')
    const [headers] = await once(up, 'response')
    t.equal(headers[':status'], 502)
    t.match(await json(up), { status: 502 }, 'it gets to read it')
    await closed
    t.equal(up.rstCode, 0)
  })

  t.test('breaking off in the middle of an answer: the client never sees an end', async (t) => {
    const answers = ['content-length: 10\r\n\r\nabc', 'transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n']
    for (const answer of answers) {
      breakOff = (socket) => {
        socket.write(`HTTP/1.1 200 OK\r\n${answer}`)
        setTimeout(() => socket.destroy(), 50)
      }
      const client = talk(t, breaking.port, 'GET /f/a HTTP/1.1\r\nhost: x\r\n\r\n')
      await client.closed
      t.match(client.heard(), /abc/)
      t.notMatch(client.heard(), /\r\n0\r\n/)
      const down = openSession(t, breaking.url).request({ ':path': '/f/a' })
      await t.rejects(buffer(down))
    }
  })

  t.test('that take nothing: 504, and not for the client that waits for them', async (t) => {
    take = (socket) => socket.pause()
    const client = talk(t, silent.port, head(64 * MIB))
    client.socket.write(Buffer.alloc(48 * MIB))
    t.match(await client.until(/\r\n\r\n./), /^HTTP\/1\.1 504 /)
  })

  t.test('that fall silent in their answer', async (t) => {
    take = (socket) => socket.write('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n')
    const client = talk(t, silent.port, 'GET /f/a HTTP/1.1\r\nhost: x\r\n\r\n')
    await client.closed
    t.match(client.heard(), /abc/)
    t.notMatch(client.heard(), /\r\n0\r\n/)
  })

  t.test('that never answer what they have whole: 504 by the deadline, which begins with its end', async (t) => {
    let whole = 0
    const service = await startService(t, (message) => {
      message.resume().on('end', () => whole++)
    })
    const gateway = await startStreaming(t, [service.url], { ...env, UPSTREAM_HEADERS_TIMEOUT_MS: '500' })
    const client = talk(t, gateway.port, head(4))
    client.socket.write('ab')
    await waitFor(() => service.requests.length === 1)
    // One that is whole, and comes later: a deadline that began with the head would pass before its.
    const later = talk(t, gateway.port, `${head(4)}abcd`)
    t.match(await later.until(/\r\n\r\n./), /^HTTP\/1\.1 504 /)
    t.equal(client.heard(), '')
    client.socket.write('cd')
    t.match(await client.until(/\r\n\r\n./), /^HTTP\/1\.1 504 /)
    t.equal(whole, 2)
  })
})

t.test('a service that answers before it has all', async (t) => {
  let got = 0
  const bodies: string[] = []
  const service = await startService(t, async (message, response) => {
    if (message.url === '/f/told') {
      bodies.push(await text(message))
      response.end()
      return
    }
    if (message.url === '/f/refused') {
      response.writeHead(403, { 'content-type': 'application/json' }).end('{"no":1}')
      return
    }
    if (message.url === '/f/early') {
      response.end('early')
      return
    }
    // Gives back each part as it comes.
    message.on('data', (part) => {
      got += part.length
      response.write(part)
    })
    message.on('end', () => response.end('end'))
  })
  const gateway = await startStreaming(t, [service.url])

  t.test('with a refusal: the client gets to read it, and the connection ends', async (t) => {
    const client = talk(t, gateway.port, head(64 * MIB, '/f/refused'))
    for (let i = 0; i < 64; i++) client.socket.write(Buffer.alloc(MIB))
    await client.closed
    t.match(client.heard(), /^HTTP\/1\.1 403 [^\r]*\r\n(?:.*\r\n)*connection: close\r\n/i)
    t.match(client.heard(), /\{"no":1\}/)
    const session = openSession(t, gateway.url)
    const up = session.request({ ':method': 'POST', ':path': '/f/refused' })
    up.on('error', () => undefined)
    up.write(Buffer.alloc(4 * MIB))
    const [answer] = await once(up, 'response')
    t.equal(answer[':status'], 403)
    t.equal(await text(up), '{"no":1}')
  })

  t.test('with all that it says: the client gets it, and the connection ends', async (t) => {
    const client = talk(t, gateway.port, head(64 * MIB, '/f/early'))
    client.socket.write(Buffer.alloc(MIB))
    await client.closed
    t.match(client.heard(), /^HTTP\/1\.1 200 /)
    t.match(client.heard(), /early$/)
    const session = openSession(t, gateway.url)
    const up = session.request({ ':method': 'POST', ':path': '/f/early' })
    up.on('error', () => undefined)
    up.write(Buffer.alloc(4 * MIB))
    t.equal(await text(up), 'early')
    await waitFor(() => up.closed)
    t.equal(up.rstCode, 0, 'its stream ends without an error')
  })

  t.test('with what it has of it: both directions go on', async (t) => {
    const client = talk(t, gateway.port, `${head('chunked')}3\r\nzzz\r\n`)
    await client.until(/zzz/)
    client.socket.write('3\r\nyyy\r\n')
    await client.until(/yyy/)
    t.equal(got, 6)
    client.socket.write('0\r\n\r\n')
    t.match(await client.until(/\r\n0\r\n\r\n$/), /end/)
  })

  t.test('a GET or HEAD over HTTP/2 brings no body: who reads none would take it for another request', async (t) => {
    const asked = service.requests.length
    const session = openSession(t, gateway.url)
    for (const method of ['GET', 'HEAD']) {
      const stream = session.request({ ':method': method, ':path': '/f/told' }, { endStream: false })
      stream.on('error', () => undefined)
      const answered = once(stream, 'response')
      stream.end('GET /f/other HTTP/1.1\r\nhost: x\r\n\r\n')
      t.equal((await answered)[0][':status'], 200)
    }
    t.strictSame(bodies, ['', ''])
    const requests = service.requests.slice(asked)
    t.equal(requests.length, 2)
    for (const { headers } of requests) t.equal(headers['transfer-encoding'], undefined)
  })
})

t.test('an upload whose service has begun to answer', async (t) => {
  const seen = { bytes: 0, aborted: 0 }
  const service = await startService(t, (message, response) => {
    response.write('early')
    message.on('close', () => {
      if (!message.complete) seen.aborted++
    })
    if (message.url === '/f/deaf') return
    message.on('data', (part) => {
      seen.bytes += part.length
    })
    message.on('end', () => response.end('end'))
  })
  t.beforeEach(() => Object.assign(seen, { bytes: 0, aborted: 0 }))
  const free = async (ops: string) =>
    /^skerry_gateway_streamed_bodies(\{[^}]*\})? 0$/m.test(await (await fetch(`${ops}/metrics`)).text())

  t.test('goes on as long as its client sends, whatever the service says meanwhile', async (t) => {
    const env = {
      ...{ UPSTREAM_IDLE_TIMEOUT_MS: '300', UPSTREAM_HEADERS_TIMEOUT_MS: '300' },
      ...{ UNREAD_PERIOD_MS: '2000', UNREAD_PERIOD_BYTES: '100' }
    }
    const gateway = await startStreaming(t, [service.url], env)
    const client = talk(t, gateway.port, head('chunked'))
    await client.until(/early/)
    // An answer without an upload, which ends for the silence of its service: that is as long, and begins later.
    const silent = talk(t, gateway.port, 'GET /f/deaf HTTP/1.1\r\nhost: x\r\n\r\n')
    await silent.until(/early/)
    let sent = 0
    const send = async () => {
      client.socket.write(`64\r\n${'x'.repeat(100)}\r\n`)
      sent += 100
      await waitFor(() => seen.bytes === sent || client.socket.destroyed)
    }
    while (!silent.socket.destroyed && !client.socket.destroyed) await send()
    await send()
    client.socket.write('0\r\n\r\n')
    t.match(await client.until(/\r\n0\r\n\r\n$/), /end/)
    t.notMatch(silent.heard(), /\r\n0\r\n/)
    t.equal(seen.bytes, sent)
    t.equal(seen.aborted, 0)
  })

  t.test('ends when its client sends less than the least pace', async (t) => {
    const env = { UPSTREAM_IDLE_TIMEOUT_MS: '600000', UNREAD_PERIOD_MS: '400' }
    const gateway = await startStreaming(t, [service.url], env)
    const client = talk(t, gateway.port, `${head('chunked')}3\r\nabc\r\n`)
    await client.until(/early/)
    await client.closed
    t.notMatch(client.heard(), /\r\n0\r\n/)
    const up = openSession(t, gateway.url).request({ ':method': 'POST', ':path': '/f/a' })
    up.on('error', () => undefined)
    up.resume().write('abc')
    await waitFor(() => up.closed)
    t.not(up.rstCode, 0)
    await waitFor(() => seen.aborted === 2)
    await waitFor(() => free(gateway.ops), { message: 'and gives its place back' })
  })

  t.test('ends when its service takes nothing', async (t) => {
    const env = { UPSTREAM_IDLE_TIMEOUT_MS: '400', UPSTREAM_HEADERS_TIMEOUT_MS: '400', UNREAD_PERIOD_MS: '600000' }
    const gateway = await startStreaming(t, [service.url], env)
    const client = talk(t, gateway.port, head(64 * MIB, '/f/deaf'))
    client.socket.write(Buffer.alloc(48 * MIB))
    await client.closed
    t.match(client.heard(), /early/)
    await waitFor(() => free(gateway.ops))
  })
})

t.test('more than one instance', async (t) => {
  const seen: Seen = { ended: 0, aborted: 0, bytes: 0 }
  const good = await startService(t, counting(seen))
  const away = 'http://127.0.0.1:9'

  t.test('one that refuses the connection is passed over, whatever the method', async (t) => {
    const gateway = await startStreaming(t, [away, good.url])
    for (let i = 0; i < 8; i++) {
      const answer = await fetch(`${gateway.url}/f/a`, { method: 'POST', body: bytesOf(MIB) })
      t.equal(answer.status, 200)
    }
    t.equal(seen.ended, 8)
  })

  t.test('one that dies before it takes any of the body, and one that dies behind its first byte', async (t) => {
    let before = 0
    let behind = 0
    const dies = await startService(
      t,
      (message) => {
        behind++
        message.once('data', () => message.socket.destroy())
      },
      (message) => {
        before++
        message.socket.destroy()
      }
    )
    const both = () => startStreaming(t, [dies.url, good.url])
    const upload = async (url: string, method: string, expect: boolean) => {
      const up = request(`${url}/f/a`, {
        ...{ method, headers: { 'content-length': 3, ...(expect ? { expect: '100-continue' } : {}) } }
      })
      up.on('error', () => undefined)
      if (expect) up.once('continue', () => up.end('abc')).flushHeaders()
      else up.end('abc')
      const [answer] = (await once(up, 'response')) as [IncomingMessage]
      answer.resume()
      up.destroy()
      return answer.statusCode!
    }
    const first = await both()
    const puts: number[] = []
    while (before === 0) puts.push(await upload(first.url, 'PUT', true))
    t.strictSame([...new Set(puts)], [200], 'PUT goes to the other while nothing of it was sent')
    const second = await both()
    const ended = seen.ended
    const statuses: number[] = []
    while (behind === 0) statuses.push(await upload(second.url, 'PUT', false))
    t.equal(statuses.at(-1), 502, 'and is not sent twice when something was')
    t.equal(seen.ended - ended, statuses.length - 1)
    const third = await both()
    before = 0
    const posts: number[] = []
    while (before === 0) posts.push(await upload(third.url, 'POST', true))
    t.equal(posts.at(-1), 502, 'POST may have been done')
  })
})

t.test('bounds', async (t) => {
  const seen: Seen = { ended: 0, aborted: 0, bytes: 0 }
  const service = await startService(t, counting(seen))
  const gateway = await startStreaming(t, [service.url], {
    ...{ LIMIT_EXEMPT: '', STREAMED_BODIES_CALLER: '2' },
    ...{ BODIES_BYTES: String(4 * MIB), BODIES_ADDRESS_BYTES: String(2 * MIB) }
  })

  t.test('one address has so many streamed requests, and places come back', async (t) => {
    const open = [0, 1].map(() => talk(t, gateway.port, `${head(6)}abc`))
    await waitFor(() => seen.bytes === 6)
    t.match(await talk(t, gateway.port, head(3)).until(/\r\n\r\n./), /^HTTP\/1\.1 503 (?:.*\r\n)*retry-after: 1\r\n/i)
    for (const one of open) one.socket.write('def')
    for (const one of open) t.match(await one.until(/whole/), /^HTTP\/1\.1 200 /)
    open[0]!.socket.destroy()
    const next = talk(t, gateway.port, `${head(3)}abc`)
    t.match(await next.until(/\r\n\r\n./), /^HTTP\/1\.1 200 /)
    const metrics = await (await fetch(`${gateway.ops}/metrics`)).text()
    t.match(metrics, /skerry_gateway_streamed_bodies(\{[^}]*\})? 0/)
    t.match(metrics, /skerry_gateway_bounds_total\{.*bound="STREAMED_BODIES_CALLER".*\} 1/)
    t.notMatch(metrics, /skerry_faults_total\{.*\} [1-9]/)
  })

  t.test('what passes does not add up in the memory for bodies, however many parts it comes in', async (t) => {
    const body = bytesOf(12 * MIB)
    t.equal((await fetch(`${gateway.url}/f/a`, { method: 'POST', body })).status, 200)
    const client = talk(t, gateway.port, head('chunked'))
    for (let i = 0; i < 100; i++) client.socket.write(`80\r\n${'x'.repeat(128)}\r\n`.repeat(200))
    client.socket.write('0\r\n\r\n')
    t.match(await client.until(/\r\n\r\n./), /^HTTP\/1\.1 200 /)
    const metrics = await (await fetch(`${gateway.ops}/metrics`)).text()
    t.notMatch(metrics, /skerry_gateway_bodies_refused_total(\{[^}]*\})? [1-9]/)
  })

  t.test('pieces that are smaller than a connection earns: 413, and its service sees it break off', async (t) => {
    const { aborted, ended, bytes } = seen
    const client = talk(t, gateway.port, `${head('chunked')}3\r\nabc\r\n`)
    await waitFor(() => seen.bytes === bytes + 3)
    client.socket.write('1\r\nx\r\n'.repeat(9_000))
    t.match(await client.until(/\r\n\r\n./), /^HTTP\/1\.1 413 /)
    await client.closed
    await waitFor(() => seen.aborted > aborted)
    t.equal(seen.ended, ended)
    const metrics = async () => (await fetch(`${gateway.ops}/metrics`)).text()
    await waitFor(async () => /skerry_gateway_streamed_bodies(\{[^}]*\})? 0/.test(await metrics()))
    t.match(await metrics(), /skerry_gateway_bounds_total\{.*bound="BODY_PIECES".*\} 1/)
    t.notMatch(await metrics(), /skerry_faults_total\{.*\} [1-9]/)
  })

  t.test('what a service does not take counts, and the newest are refused for want of memory', async (t) => {
    const stuck = await startService(t, (message) => void message.pause())
    const gateway = await startStreaming(t, [stuck.url], {
      ...{ BODIES_BYTES: '65536', BODIES_ADDRESS_BYTES: '65536', EJECT_FAILURES: '1000' },
      ...{ UPSTREAM_IDLE_TIMEOUT_MS: '400', UNREAD_PERIOD_MS: '400' }
    })
    const client = talk(t, gateway.port, head(64 * MIB))
    client.socket.write(Buffer.alloc(48 * MIB))
    t.match(await client.until(/\r\n\r\n./), /^HTTP\/1\.1 503 /)
    await client.closed
    const metrics = async () => (await fetch(`${gateway.ops}/metrics`)).text()
    await waitFor(async () => /skerry_gateway_streamed_bodies(\{[^}]*\})? 0/.test(await metrics()))
    t.match(await metrics(), /skerry_gateway_bodies_refused_total(\{[^}]*\})? [1-9]/)
    t.notMatch(await metrics(), /skerry_faults_total\{.*\} [1-9]/)
  })
})

t.test('an instance over TLS', async (t) => {
  const authority = createAuthority()
  const folder = await mkdtemp(join(tmpdir(), 'skerry-streamed-tls-'))
  t.teardown(() => rm(folder, { recursive: true }))
  const file = join(folder, 'ca.pem')
  await writeFile(file, authority.cert)
  const server = createTls(authority.issue('127.0.0.1'), async (message, response) => {
    message.on('error', () => undefined)
    if (message.method === 'GET') response.end(bytesOf(3 * MIB))
    else {
      const got = await digestOf(message).catch(() => undefined)
      response.end(JSON.stringify(got))
    }
  })
  const port = await listen(t, server)
  const gateway = await startStreaming(t, [`https://127.0.0.1:${port}`], { UPSTREAM_CA_FILE: file })
  const body = bytesOf(3 * MIB)
  const url = `${gateway.url}/f/a`
  t.match(await (await fetch(url, { method: 'POST', body })).json(), { bytes: body.length, sha: sha(body) })
  const chunked = request(url, { method: 'PUT', headers: { expect: '100-continue' } })
  chunked.once('continue', () => chunked.end(body)).flushHeaders()
  const [answer] = (await once(chunked, 'response')) as [IncomingMessage]
  t.match(await json(answer), { bytes: body.length, sha: sha(body) }, 'its clients are told to go on by the gateway')
  const asking = request(url, { headers: { te: 'trailers' } }).end()
  const [down] = (await once(asking, 'response')) as [IncomingMessage]
  t.equal(sha(await buffer(down)), sha(body))
  const metrics = await (await fetch(`${gateway.ops}/metrics`)).text()
  t.notMatch(metrics, /skerry_faults_total\{.*\} [1-9]/)
})

t.test('an instance that speaks HTTP/1.1 in its own way', async (t) => {
  const refusal = 'HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\nconnection: close\r\n\r\nno'
  const service = createServer((socket) => {
    socket.on('error', () => undefined)
    socket.on('data', (bytes) => {
      if (socket.writableEnded) return
      const [method, path] = bytes.toString().split(' ')
      if (method === 'POST') {
        // What it has not read makes the kernel reset the connection.
        socket.end(refusal).destroySoon()
        return
      }
      const isEmpty = path === '/f/empty'
      const head = `HTTP/1.1 ${isEmpty ? 204 : 200} OK\r\n${isEmpty ? '' : 'transfer-encoding: chunked\r\n'}trailer: x-sum\r\n\r\n`
      socket.write(method === 'HEAD' || isEmpty ? head : `${head}3\r\nabc\r\n0\r\nx-sum: 1\r\n\r\n`)
    })
  })
  const gateway = await startStreaming(t, [`http://127.0.0.1:${await listen(t, service)}`])

  t.test('an answer that can have no trailers reaches its client, whatever was announced', async (t) => {
    for (const line of ['HEAD /f/a HTTP/1.1', 'GET /f/a HTTP/1.0', 'GET /f/empty HTTP/1.1']) {
      const client = talk(t, gateway.port, `${line}\r\nhost: x\r\nte: trailers\r\nconnection: close\r\n\r\n`)
      await client.closed
      t.match(client.heard(), /^HTTP\/1\.1 20[04] /, line)
      t.notMatch(client.heard(), /^(?:trailer|x-sum):/im)
    }
    const session = openSession(t, gateway.url)
    for (const [method, path] of [
      ['HEAD', '/f/a'],
      ['GET', '/f/empty']
    ]) {
      const stream = session.request({ ':method': method, ':path': path, te: 'trailers' })
      const [head] = await once(stream, 'response')
      t.match(head[':status'], /20[04]/, `${method} ${path} over HTTP/2`)
      stream.resume()
      await once(stream, 'close')
      t.equal(stream.rstCode, 0)
    }
  })

  t.test('one that refuses an upload and closes at once is heard, and not ejected for it', async (t) => {
    const part = bytesOf(MIB)
    for (let i = 0; i < 20; i++) {
      const client = talk(t, gateway.port, head(8 * MIB))
      for (let k = 0; k < 8; k++) client.socket.write(part)
      t.match(await client.until(/\r\n\r\n./), /^HTTP\/1\.1 403 /)
      client.socket.destroy()
    }
    t.notMatch(gateway.output(), /ejected/)
  })
})
