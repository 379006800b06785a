import { once } from 'node:events'
import { rm, writeFile } from 'node:fs/promises'
import { Agent, get, type IncomingMessage, type ServerResponse } from 'node:http'
import { type ClientHttp2Stream, constants } from 'node:http2'
import { connect } from 'node:net'
import { text } from 'node:stream/consumers'
import { connect as connectTls, type TLSSocket } from 'node:tls'
import { waitFor } from '@skerry/testing'
import t from 'tap'
import { ask, certificateFiles, openSession, talk } from './helpers/clients.ts'
import { frame, PREFACE, TYPE } from './helpers/http2-frames.ts'
import { echo, startListener } from './helpers/listener.ts'
import { makeCertificate } from './helpers/self-signed.ts'

t.test('HTTP/1.1 and HTTP/2 on one port', async (t) => {
  const { port, listener } = await startListener(t, { handler: echo })
  const url = `http://127.0.0.1:${port}`

  t.test('HTTP/1.1, its connection kept', async (t) => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    t.teardown(() => agent.destroy())
    const ports = new Set<number | undefined>()
    for (let i = 0; i < 5; i++) {
      const [response] = (await once(get(`${url}/v1/x?${i}`, { agent }), 'response')) as [IncomingMessage]
      ports.add(response.socket.localPort)
      t.match(JSON.parse(await text(response)), { url: `/v1/x?${i}`, httpVersion: '1.1' })
    }
    t.equal(ports.size, 1)
  })

  t.test('pipelined, in one packet and cut at every byte', async (t) => {
    const requests =
      'POST /v1/a HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\nhiGET /v1/b HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n'
    for (const parts of [[requests], [...requests]]) {
      const answer = await talk(port, ...parts)
      t.match(answer, /"url":"\/v1\/a".*"body":"hi".*HTTP\/1\.1 200.*"url":"\/v1\/b"/s)
    }
  })

  t.test('methods that begin like the preface', async (t) => {
    for (const method of ['POST', 'PUT', 'PATCH', 'PROPFIND', 'PURGE']) {
      const request = `${method} /v1/x HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n`
      t.match(await talk(port, ...request), new RegExp(`"method":"${method}"`))
    }
    t.match(await talk(port, 'PRX / HTTP/1.1\r\nhost: x\r\n\r\n'), /^HTTP\/1\.1 400 /)
    t.match(await talk(port, '\x16\x03\x01\x02'), /^HTTP\/1\.1 400 /, 'TLS where there is none')
  })

  t.test('the preface cannot come after a request', async (t) => {
    const socket = connect(port, '127.0.0.1')
    socket.write('GET /v1/x HTTP/1.1\r\nhost: x\r\n\r\n')
    t.match(String((await once(socket, 'data'))[0]), /^HTTP\/1\.1 200 /)
    socket.write(PREFACE)
    t.match(await text(socket), /HTTP\/1\.1 400 /)
  })

  t.test('HTTP/2 with prior knowledge', async (t) => {
    const session = openSession(t, url)
    const answer = await ask(session, { ':method': 'POST', 'x-mine': 'a', cookie: ['a=1', 'b=2'] }, 'body')
    t.equal(answer.status, 200)
    t.notOk('connection' in answer.headers)
    t.ok(answer.headers.date)
    const seen = JSON.parse(answer.body)
    t.match(seen, { method: 'POST', url: '/v1/x', httpVersion: '2.0', complete: true, body: 'body' })
    t.strictSame(seen.headers, { 'x-mine': 'a', cookie: 'a=1; b=2', host: `127.0.0.1:${port}` })
    t.strictSame(seen.rawHeaders.slice(0, 2), ['host', `127.0.0.1:${port}`])
    t.notOk(seen.rawHeaders.some((text: string) => text.startsWith(':')))
    const many = await Promise.all(
      Array.from({ length: 300 }, (_, i) => ask(session, { ':path': `/v1/${i}`, ':method': 'POST' }, 'b'.repeat(i)))
    )
    t.ok(many.every(({ body }, i) => JSON.parse(body).body.length === i && JSON.parse(body).url === `/v1/${i}`))
    t.equal(session.remoteSettings.maxConcurrentStreams, 100)
  })

  t.test('a preface that comes in pieces', async (t) => {
    for (const parts of [[...PREFACE.toString()], ['P', PREFACE.subarray(1)], ['PR', PREFACE.subarray(2)]]) {
      const socket = connect(port, '127.0.0.1').setNoDelay(true)
      t.teardown(() => socket.destroy())
      for (const part of parts) {
        await new Promise((resolve) => socket.write(part, resolve))
        await new Promise(setImmediate)
      }
      socket.write(frame(TYPE.settings, 0, 0))
      const [first] = await once(socket, 'data')
      t.equal(first[3], TYPE.settings, 'the first frame is its settings (RFC 9113 3.4)')
    }
  })

  t.test('many connections of both kinds at once', async (t) => {
    const answers = await Promise.all(
      Array.from({ length: 200 }, async (_, i) => {
        if (i % 2 === 0) return (await ask(openSession(t, url), { ':path': `/v1/${i}` })).body
        return (await talk(port, `GET /v1/${i} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n`)).split('\r\n\r\n')[1]!
      })
    )
    t.ok(answers.every((body, i) => body.includes(`"url":"/v1/${i}"`)))
  })

  t.test('a client that closes its side ends its connection', async (t) => {
    const before = listener.http2Connections()
    const socket = connect(port, '127.0.0.1')
    socket.write(Buffer.concat([PREFACE, frame(TYPE.settings, 0, 0)]))
    await once(socket, 'data')
    socket.end()
    await once(socket, 'close')
    await waitFor(() => listener.http2Connections() <= before)
    const silent = connect(port, '127.0.0.1')
    silent.end()
    await once(silent.resume(), 'close')
    t.pass('also one that never said anything')
  })
})

t.test('what a handler may do over HTTP/2', async (t) => {
  let handle: (request: IncomingMessage, response: ServerResponse) => void = echo
  const { port } = await startListener(t, { handler: (request, response) => handle(request, response) })
  const session = openSession(t, `http://127.0.0.1:${port}`)

  t.test('headers as pairs, as an object, set before, with a message', async (t) => {
    handle = (_request, response) => {
      response.setHeader('X-Set', 'before')
      response.setHeader('x-both', 'before')
      response.writeHead(201, [
        'X-Both',
        'pairs',
        'set-cookie',
        'a=1',
        'set-cookie',
        'b=2',
        'Connection',
        'keep-alive',
        'Transfer-Encoding',
        'chunked'
      ])
      response.end('x')
    }
    const pairs = await ask(session)
    t.equal(pairs.status, 201)
    t.match(pairs.headers, { 'x-set': 'before', 'x-both': 'pairs', 'set-cookie': ['a=1', 'b=2'] })
    t.notOk('transfer-encoding' in pairs.headers)
    handle = (_request, response) => {
      response.setHeader('x-both', 'before')
      response.writeHead(202, 'Fine', {
        'X-Both': 'object',
        'x-number': 5,
        'x-list': ['1', '2'],
        'keep-alive': 'timeout=5'
      })
      response.end('x')
    }
    const object = await ask(session)
    t.equal(object.status, 202)
    t.match(object.headers, { 'x-both': 'object', 'x-number': '5', 'x-list': '1, 2' })
    handle = (_request, response) => {
      response.statusCode = 203
      response.setHeader('content-type', 'text/plain')
      response.write('a')
      response.end('b')
    }
    t.match(await ask(session), { status: 203, headers: { 'content-type': 'text/plain' }, body: 'ab' })
    handle = (_request, response) => response.writeHead(200, ['content-type', 'a/b', 'content-type', 'c/d']).end()
    t.equal((await ask(session)).status, 200, 'a header that a service repeats')
  })

  t.test('a value that would end its line throws, as in HTTP/1.1', async (t) => {
    for (const value of ['a\r\nx: y', 'a\0b', 'a\nb', 'é…']) {
      handle = (_request, response) => {
        try {
          response.writeHead(200, ['x-value', value])
          response.end('sent')
        } catch (error) {
          response.writeHead(500, [])
          response.end((error as { code: string }).code)
        }
      }
      t.match(await ask(session), { status: 500, body: 'ERR_INVALID_CHAR' })
    }
  })

  t.test('bodies where there can be none are dropped', async (t) => {
    for (const status of [204, 304, 200]) {
      handle = (_request, response) => {
        response.writeHead(status, ['etag', '"a"'])
        response.write('body')
        response.end('body')
      }
      const answer = await ask(session, { ':method': status === 200 ? 'HEAD' : 'GET' })
      t.match(answer, { status, body: '' })
    }
  })

  t.test('a body is read at the pace of the handler', async (t) => {
    let arrived: IncomingMessage | undefined
    handle = (request, response) => {
      arrived = request
      request.on('end', () => response.end('done'))
    }
    const stream = session.request({ ':method': 'POST' })
    const body = Buffer.alloc(2_000_000, 'x')
    let sent = false
    stream.end(body, () => {
      sent = true
    })
    await waitFor(() => arrived !== undefined)
    t.notOk(sent)
    let size = 0
    arrived?.on('data', (part: Buffer) => {
      size += part.length
    })
    t.equal(await text(stream), 'done')
    t.equal(size, body.length)
  })

  t.test('an answer is written at the pace of the client', async (t) => {
    let full = 0
    let drained = 0
    handle = (_request, response) => {
      response.writeHead(200, ['content-type', 'application/octet-stream'])
      let left = 200
      const write = () => {
        while (left > 0) {
          left--
          if (!response.write(Buffer.alloc(16_384))) {
            full++
            response.once('drain', () => {
              drained++
              write()
            })
            return
          }
        }
        response.end()
      }
      write()
    }
    const stream = session.request({})
    await once(stream, 'response')
    await waitFor(() => full > 0)
    t.ok(drained < 100, 'the client reads nothing, so the writer waits')
    let size = 0
    for await (const part of stream) size += part.length
    t.equal(size, 200 * 16_384)
    t.ok(drained > 0)
  })

  t.test('events one by one, and the end of the client is heard', async (t) => {
    const closed: string[] = []
    let live: ServerResponse | undefined
    handle = (request, response) => {
      request.on('close', () => closed.push('request'))
      request.on('aborted', () => closed.push('aborted'))
      response.on('close', () => closed.push(`response, finished: ${response.writableFinished}`))
      response.writeHead(200, ['content-type', 'text/event-stream'])
      response.flushHeaders()
      live = response
    }
    const stream = session.request({ ':path': '/v1/live' })
    await once(stream, 'response')
    stream.setEncoding('utf8')
    for (let i = 0; i < 3; i++) {
      live!.write(`id: ${i}\ndata: x\n\n`)
      t.equal((await once(stream, 'data'))[0], `id: ${i}\ndata: x\n\n`)
    }
    stream.close(constants.NGHTTP2_CANCEL)
    await waitFor(() => closed.length === 3)
    t.strictSame(closed.sort(), ['aborted', 'request', 'response, finished: false'])
    t.equal(live!.destroyed, true)
    t.doesNotThrow(() => {
      live!.write('late')
      live!.writeHead(200)
      live!.end()
      live!.destroy()
    })
  })

  t.test('an answer that breaks off never looks complete', async (t) => {
    for (const how of ['response', 'request'] as const) {
      handle = (request, response) => {
        response.writeHead(200, ['content-type', 'text/plain'])
        response.write('part', () => (how === 'response' ? response : request).destroy())
      }
      const stream = session.request({ ':method': 'POST' })
      await t.rejects(text(stream))
      t.equal(stream.rstCode, constants.NGHTTP2_INTERNAL_ERROR)
    }
    handle = echo
    t.equal((await ask(session)).status, 200, 'and the connection lives on')
  })

  t.test('a request that is cut off breaks, and never ends', async (t) => {
    for (const code of [constants.NGHTTP2_CANCEL, constants.NGHTTP2_NO_ERROR]) {
      const seen: string[] = []
      handle = (request) => {
        request.on('data', () => seen.push('data'))
        request.on('end', () => seen.push('end'))
        request.on('error', (error: NodeJS.ErrnoException) => seen.push(error.code ?? ''))
        request.on('close', () => seen.push(`close, complete: ${request.complete}`))
      }
      const stream: ClientHttp2Stream = session.request({ ':method': 'POST', 'content-length': '100' })
      stream.on('error', () => {})
      stream.write('part')
      await waitFor(() => seen.includes('data'))
      stream.close(code)
      await waitFor(() => seen.length >= 3)
      t.strictSame(seen.slice(1).sort(), ['ECONNRESET', 'close, complete: false'])
    }
    let ended = false
    let closed = false
    handle = (request) => {
      request.resume()
      request.on('end', () => {
        ended = true
      })
      request.on('close', () => {
        closed = true
      })
    }
    const stream = session.request({ ':method': 'POST' })
    stream.on('error', () => {})
    stream.write('part')
    stream.close(constants.NGHTTP2_CANCEL)
    await waitFor(() => closed)
    t.notOk(ended, 'also where nobody listens for errors')
  })
})

t.test('TLS', async (t) => {
  const { files, write } = await certificateFiles(t)
  const first = await write('first')
  const lines: string[] = []
  const log = { info: () => {}, warn: (...given: unknown[]) => lines.push(String(given[1])) }
  const { port, listener } = await startListener(t, {
    handler: echo,
    env: { ...files, TLS_ONLY: 'false' },
    log: log as never
  })
  const secure = (options: object) =>
    new Promise<TLSSocket>((resolve, reject) => {
      const socket = connectTls({ port, host: '127.0.0.1', ca: first.cert, ...options })
      socket.once('secureConnect', () => resolve(socket)).on('error', reject)
      t.teardown(() => socket.destroy())
    })
  const nameOf = (socket: TLSSocket) => socket.getPeerCertificate().subject.CN

  t.test('HTTP/2 and HTTP/1.1 by ALPN, and both without TLS on the same port', async (t) => {
    const session = openSession(t, `https://127.0.0.1:${port}`, { ca: first.cert })
    const answer = JSON.parse((await ask(session, { ':method': 'POST' }, 'body')).body)
    t.match(answer, { httpVersion: '2.0', body: 'body', headers: { host: `127.0.0.1:${port}` } })
    t.equal(session.alpnProtocol, 'h2')
    for (const ALPNProtocols of [['http/1.1'], undefined]) {
      const socket = await secure({ ALPNProtocols })
      const request = 'GET /v1/x HTTP/1.1\r\nhost: x\r\n\r\n'
      socket.write(request)
      t.match(String((await once(socket, 'data'))[0]), /"httpVersion":"1\.1"/)
      socket.write(request.replace('\r\n\r\n', '\r\nconnection: close\r\n\r\n'))
      t.match(await text(socket), /"httpVersion":"1\.1"/)
    }
    t.match((await ask(openSession(t, `http://127.0.0.1:${port}`))).body, /"httpVersion":"2\.0"/)
    t.match(await talk(port, 'GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n'), /^HTTP\/1\.1 200 /)
  })

  t.test('nothing old, nothing that HTTP/2 forbids', async (t) => {
    const old11 = { maxVersion: 'TLSv1.1', minVersion: 'TLSv1', ciphers: 'DEFAULT@SECLEVEL=0' }
    await t.rejects(secure(old11), { code: 'ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION' })
    const cbc = secure({ maxVersion: 'TLSv1.2', ciphers: 'ECDHE-ECDSA-AES128-SHA' })
    await t.rejects(cbc, { code: /^ERR_SSL_.*_ALERT_HANDSHAKE_FAILURE$/ }, 'CBC')
    await t.rejects(secure({ ALPNProtocols: ['spdy/3'] }), { code: 'ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL' })
    const old = await secure({ maxVersion: 'TLSv1.2' })
    t.equal(old.getProtocol(), 'TLSv1.2')
    t.match(old.getCipher().name, /^ECDHE-.*(GCM|CHACHA20)/)
    t.equal((await secure({})).getProtocol(), 'TLSv1.3')
  })

  t.test('a session is resumed', async (t) => {
    const socket = await secure({ maxVersion: 'TLSv1.2' })
    const session = socket.getSession()
    const again = await secure({ maxVersion: 'TLSv1.2', session })
    t.ok(again.isSessionReused())
  })

  t.test('another certificate is used without dropping connections', async (t) => {
    const session = openSession(t, `https://127.0.0.1:${port}`, { ca: first.cert })
    await ask(session)
    t.equal(nameOf(await secure({})), 'first')
    const second = await write('second')
    await listener.reload()
    t.equal(nameOf(await secure({ ca: second.cert })), 'second')
    t.equal((await ask(session)).status, 200, 'the open connection goes on')

    await writeFile(files.TLS_KEY_FILE, makeCertificate('other').key)
    await listener.reload()
    await listener.reload()
    t.equal(nameOf(await secure({ ca: second.cert })), 'second', 'a key of another certificate changes nothing')
    t.equal(lines.length, 1, 'and is told once')
    await rm(files.TLS_CERT_FILE)
    await listener.reload()
    t.equal(lines.length, 2)
    const third = await write('third')
    await listener.reload()
    t.equal(nameOf(await secure({ ca: third.cert })), 'third')
  })
})

t.test('the certificate is looked at by itself', async (t) => {
  const { files, write } = await certificateFiles(t)
  await write('first')
  const { port } = await startListener(t, { env: { ...files, TLS_RELOAD_MS: '5' } })
  await write('second')
  await waitFor(async () => {
    const socket = connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false })
    await once(socket, 'secureConnect')
    const { subject } = socket.getPeerCertificate()
    socket.destroy()
    return subject.CN === 'second'
  })
  t.pass()
})

t.test('TLS only', async (t) => {
  const { files, write } = await certificateFiles(t)
  const { cert } = await write('only')
  const { port } = await startListener(t, { env: files })
  t.match(await talk(port, 'GET / HTTP/1.1\r\nhost: x\r\n\r\n'), /^HTTP\/1\.1 400 .*"code":"BAD_REQUEST"/s)
  const session = openSession(t, `http://127.0.0.1:${port}`)
  await waitFor(() => session.destroyed)
  t.equal((await ask(openSession(t, `https://127.0.0.1:${port}`, { ca: cert }))).status, 200)
})

t.test('a certificate that cannot be used ends the start', async (t) => {
  const { files, write } = await certificateFiles(t)
  await t.rejects(startListener(t, { env: files }), { code: 'ENOENT' })
  await write('one')
  await t.rejects(startListener(t, { env: { TLS_CERT_FILE: files.TLS_CERT_FILE } }), /belong together/)
  await writeFile(files.TLS_KEY_FILE, makeCertificate('two').key)
  await t.rejects(startListener(t, { env: files }), /mismatch/)
})
