import { once } from 'node:events'
import { type IncomingMessage, request, type ServerResponse } from 'node:http'
import { connect as connectHttp2 } from 'node:http2'
import { Readable } from 'node:stream'
import { buffer, json } from 'node:stream/consumers'
import { waitFor } from '@skerry/testing'
import t from 'tap'
import { openSession } from './helpers/clients.ts'
import {
  bytesOf,
  digestOf,
  KIB,
  MIB,
  type Service,
  sha,
  startService,
  startStreaming,
  talk
} from './helpers/streamed.ts'

// Bodies of routes that declare `body: 'stream'` pass through (docs/gateway-bodies.md). A gateway of its own process.

const BODY = bytesOf(4 * MIB)

/** Answers an upload with what it got, and a download with what it is asked for. */
async function echo(message: IncomingMessage, response: ServerResponse): Promise<void> {
  if (message.method === 'GET' || message.method === 'HEAD') {
    response.writeHead(200, { 'content-length': BODY.length, 'content-type': 'text/plain', etag: '"1.a"' })
    response.end(message.method === 'HEAD' ? undefined : BODY)
    return
  }
  const got = await digestOf(message).catch(() => undefined)
  if (got === undefined) return
  response.setHeader('content-type', 'application/json')
  response.end(JSON.stringify({ ...got, headers: message.headers, trailers: message.trailers }))
}

type Echo = { sha: string; bytes: number; headers: Record<string, string>; trailers: Record<string, string> }

t.test('bodies pass as they are', async (t) => {
  const service = await startService(t, (message, response) => echo(message, response))
  const gateway = await startStreaming(t, [service.url], { REQUEST_TIMEOUT_MS: '300', HEADERS_TIMEOUT_MS: '300' })
  const url = `${gateway.url}/f/a`
  const whole = { sha: sha(BODY), bytes: BODY.length }

  t.test('up over HTTP/1.1, with a length and in chunks', async (t) => {
    const known = (await (await fetch(url, { method: 'POST', body: BODY })).json()) as Echo
    t.match(known, whole)
    t.equal(known.headers['content-length'], String(BODY.length))
    t.equal(known.headers['transfer-encoding'], undefined)
    t.match(known.headers, { 'x-forwarded-for': '127.0.0.1', traceparent: /^00-/ })
    const body = Readable.toWeb(Readable.from([BODY.subarray(0, MIB), BODY.subarray(MIB)]))
    const chunked = (await (
      await fetch(url, {
        ...{ method: 'PUT', body, duplex: 'half' },
        headers: { 'x-user-id': 'eve', 'x-forwarded-for': '1.2.3.4', connection: 'keep-alive' }
      } as RequestInit)
    ).json()) as Echo
    t.match(chunked, whole)
    t.equal(chunked.headers['transfer-encoding'], 'chunked')
    t.equal(chunked.headers['content-length'], undefined)
    t.equal(chunked.headers['x-user-id'], undefined)
    t.equal(chunked.headers['x-forwarded-for'], '127.0.0.1')
    t.match(await (await fetch(url, { method: 'POST' })).json(), { bytes: 0 })
    t.match(await (await fetch(url, { method: 'PUT', body: '' })).json(), { bytes: 0 })
  })

  t.test('down over HTTP/1.1, with the head of all answers and no coding', async (t) => {
    const answer = await fetch(url, { headers: { 'accept-encoding': 'gzip, br' } })
    t.match(Object.fromEntries(answer.headers), {
      ...{ 'content-length': String(BODY.length), etag: '"1.a"', 'x-content-type-options': 'nosniff' },
      ...{ 'x-request-id': /^[\w-]{8,64}$/, 'server-timing': /gateway;dur=.*upstream;dur=/ }
    })
    t.equal(answer.headers.get('content-encoding'), null)
    t.equal(sha(Buffer.from(await answer.arrayBuffer())), whole.sha)
    const head = await fetch(url, { method: 'HEAD' })
    t.equal(head.headers.get('content-length'), String(BODY.length))
  })

  t.test('up and down over HTTP/2', async (t) => {
    const session = openSession(t, gateway.url)
    for (const length of [{ 'content-length': BODY.length }, {}]) {
      const up = session.request({ ':method': 'POST', ':path': '/f/a', ...length })
      up.end(BODY)
      t.match(await json(up), whole)
    }
    const down = session.request({ ':path': '/f/a' })
    t.equal(sha(await buffer(down)), whole.sha)
    const empty = session.request({ ':method': 'PUT', ':path': '/f/a' }, { endStream: true })
    t.match(await json(empty), { bytes: 0 })
  })

  t.test('many at once on one connection, none with bytes of another', async (t) => {
    // The one that is read whole would have 300 ms for that.
    const patient = await startStreaming(t, [service.url])
    const session = openSession(t, patient.url)
    const uploads = Array.from({ length: 12 }, async (_, i) => {
      const body = Buffer.alloc(2 * MIB + 1_000 * i, `${i} of many `)
      // One of them is read whole by the gateway.
      const up = session.request({ ':method': 'POST', ':path': i === 11 ? '/f/whole/a' : '/f/a' })
      const part = [100, 5_000, 20_000, 70_000][i % 4]!
      const sent = i === 11 ? body.subarray(0, MIB) : body
      for (let at = 0; at < sent.length; at += part)
        if (!up.write(sent.subarray(at, at + part))) await once(up, 'drain')
      up.end()
      return [(await json(up)) as Echo, sha(sent)] as const
    })
    for (const [got, expected] of await Promise.all(uploads)) t.equal(got.sha, expected)
  })

  t.test('may take longer than whole requests may', async (t) => {
    const up = request(url, { method: 'POST', headers: { 'content-length': 4 } })
    const answered = once(up, 'response')
    const session = connectHttp2(gateway.url)
    t.teardown(() => session.destroy())
    const up2 = session.request({ ':method': 'POST', ':path': '/f/a', 'content-length': 4 })
    up.write('ab')
    up2.write('ab')
    // More than REQUEST_TIMEOUT_MS, and than the looks for who is late.
    await new Promise((resolve) => setTimeout(resolve, 2_500))
    up.end('cd')
    up2.end('cd')
    const [answer] = (await answered) as [IncomingMessage]
    t.match(await json(answer), { bytes: 4 })
    t.match(await json(up2), { bytes: 4 })
  })

  t.test('not in a batch', async (t) => {
    const asked = service.requests.length
    const requests = [{ method: 'GET', path: '/f/a' }]
    const batch = await fetch(`${gateway.url}/v1/batch`, {
      ...{ method: 'POST', headers: { 'content-type': 'application/json' } },
      body: JSON.stringify({ requests })
    })
    t.match(await batch.json(), { responses: [{ status: 400 }] })
    t.equal(service.requests.length, asked, 'its service is not asked')
  })
})

t.test('who does not read stops who sends', async (t) => {
  const size = 256 * MIB
  const part = Buffer.alloc(64 * KIB, 'x')
  let given = 0
  let waits: IncomingMessage | undefined
  const service = await startService(t, (message, response) => {
    if (message.method === 'POST') {
      waits = message.pause()
      response.on('error', () => undefined)
      message.on('end', () => response.end('whole'))
      return
    }
    response.writeHead(200, { 'content-length': size })
    const give = () => {
      while (given < size) {
        given += part.length
        if (!response.write(part)) {
          response.once('drain', give)
          return
        }
      }
      response.end()
    }
    give()
  })
  const gateway = await startStreaming(t, [service.url])
  /** Waits until a count stays as it is. */
  const settled = async (count: () => number) => {
    let before = -1
    let same = 0
    await waitFor(() => {
      same = count() === before ? same + 1 : 0
      before = count()
      return same > 20
    })
    return before
  }

  const sending = talk(t, gateway.port, `POST /f/a HTTP/1.1\r\nhost: x\r\ncontent-length: ${64 * MIB}\r\n\r\n`)
  let handed = 0
  const send = () => {
    while (handed < 64 * MIB) {
      handed += part.length
      if (!sending.socket.write(part)) {
        sending.socket.once('drain', send)
        return
      }
    }
  }
  send()
  await waitFor(() => waits !== undefined)
  const taken = await settled(() => handed)
  t.ok(taken < 32 * MIB, `of 64 MiB the kernel and the gateway have taken ${(taken / MIB).toFixed(1)}`)
  for (const one of service.requests) one.resume()
  t.match(await sending.until(/whole/), /^HTTP\/1\.1 200 /, 'and all of it comes when it is read')

  const reading = talk(t, gateway.port, 'GET /f/a HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n')
  reading.socket.pause()
  await waitFor(() => given > 0)
  const sent = await settled(() => given)
  t.ok(sent < 64 * MIB, `of 256 MiB the service could give ${(sent / MIB).toFixed(1)}`)
  let heard = 0
  reading.socket.removeAllListeners('data')
  reading.socket.on('data', (chunk) => {
    heard += chunk.length
  })
  reading.socket.resume()
  await reading.closed
  t.ok(heard > size, 'and all of it comes when it is read')
})

t.test('a client that waits for a word', async (t) => {
  const words: string[] = []
  const service: Service = await startService(
    t,
    (message, response) => echo(message, response),
    (message, response) => {
      if (message.url === '/f/refused') {
        response.writeHead(403, { 'content-length': 2 }).end('no')
        return
      }
      // Never says it, or says it late.
      if (message.url !== '/f/mute') {
        words.push('100')
        response.writeContinue()
      }
      echo(message, response)
    }
  )
  const gateway = await startStreaming(t, [service.url])
  const head = (path: string, length = 5, more = '') =>
    `POST ${path} HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: ${length}\r\n${more}\r\n`
  const told = /^HTTP\/1\.1 100 Continue\r\n\r\n/

  t.test('hears it from the service', async (t) => {
    const client = talk(t, gateway.port, head('/f/a'))
    t.match(await client.until(told), told)
    t.strictSame(words, ['100'])
    client.socket.write('hello')
    t.match(await client.until(/"bytes":5/), /HTTP\/1\.1 200 /)
  })

  t.test('over HTTP/2 as well', async (t) => {
    const session = openSession(t, gateway.url)
    const up = session.request({ ':method': 'POST', ':path': '/f/a', expect: '100-continue' })
    await once(up, 'continue')
    up.end('hello')
    t.match(await json(up), { bytes: 5 })
  })

  t.test('is told all the same by a service that does not say it', async (t) => {
    const client = talk(t, gateway.port, head('/f/mute'))
    t.match(await client.until(told), told)
    client.socket.write('hello')
    t.match(await client.until(/"bytes":5/), /HTTP\/1\.1 200 /)
  })

  t.test('need not wait', async (t) => {
    const client = talk(t, gateway.port, `${head('/f/a')}hello`)
    t.match(await client.until(/"bytes":5/), /HTTP\/1\.1 200 /)
  })

  t.test('is refused before it sends: by the service, the limit, the table', async (t) => {
    const before = service.requests.length
    const refused: [string, number][] = [
      [head('/f/refused'), 403],
      [head('/f/small', MIB + 1), 413],
      [head('/f/whole/a', 64 * MIB), 413],
      [head('/nowhere'), 404],
      [head('/f/%2e%2e'), 400]
    ]
    for (const [bytes, status] of refused) {
      const client = talk(t, gateway.port, bytes)
      await client.until(/\r\n\r\n./)
      t.match(client.heard(), new RegExp(`^HTTP/1\\.1 ${status} `), 'the answer is all that comes')
      t.match(client.heard(), /\r\nconnection: close\r\n/i)
    }
    t.equal(service.requests.length, before + 1)
  })

  t.test('is told by the gateway where bodies are read whole', async (t) => {
    const client = talk(t, gateway.port, head('/f/whole/a'))
    t.match(await client.until(told), told)
    client.socket.write('hello')
    t.match(await client.until(/"bytes":5/), /HTTP\/1\.1 200 /)
  })
})

t.test('trailers', async (t) => {
  const service = await startService(t, (message, response) => {
    if (message.method === 'POST') return echo(message, response)
    response.writeHead(200, { trailer: 'x-sum, set-cookie' })
    response.write('abc')
    response.addTrailers({ 'x-sum': '123', 'set-cookie': 'a=b', 'x-skerry-revoked': 'all' })
    response.end()
  })
  const gateway = await startStreaming(t, [service.url])

  const client = talk(
    t,
    gateway.port,
    'POST /f/a HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\ntrailer: x-sum, authorization\r\n\r\n' +
      '3\r\nabc\r\n0\r\nx-sum: 123\r\nauthorization: Bearer x\r\nx-forwarded-for: 1.1.1.1\r\n\r\n'
  )
  const answer = await client.until(/\}\}$/)
  const { headers, trailers } = JSON.parse(answer.slice(answer.indexOf('\r\n\r\n') + 4)) as Echo
  t.equal(headers.trailer, 'x-sum')
  t.strictSame(trailers, { 'x-sum': '123' }, 'what may be one reaches the service')

  const asking = request(`${gateway.url}/f/a`, { headers: { te: 'trailers' } }).end()
  const [down] = (await once(asking, 'response')) as [IncomingMessage]
  t.equal(down.headers.trailer, 'x-sum')
  t.equal((await buffer(down)).toString(), 'abc')
  t.strictSame({ ...down.trailers }, { 'x-sum': '123' }, 'and so does it a client that takes them')
  const plain = request(`${gateway.url}/f/a`).end()
  const [without] = (await once(plain, 'response')) as [IncomingMessage]
  await buffer(without)
  t.strictSame({ ...without.trailers }, {}, 'but no other')

  const session = openSession(t, gateway.url)
  const down2 = session.request({ ':path': '/f/a', te: 'trailers' })
  const came = once(down2, 'trailers')
  t.equal((await buffer(down2)).toString(), 'abc')
  t.equal((await came)[0]['x-sum'], '123')
  const up2 = session.request({ ':method': 'POST', ':path': '/f/a', trailer: 'x-sum' }, {
    waitForTrailers: true
  } as never)
  up2.on('wantTrailers', () => up2.sendTrailers({ 'x-sum': '456' }))
  up2.end('abc')
  t.match(await json(up2), { bytes: 3, trailers: { 'x-sum': '456' } })
})
