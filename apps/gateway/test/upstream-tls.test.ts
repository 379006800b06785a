import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { get, type IncomingMessage } from 'node:http'
import { createSecureServer } from 'node:http2'
import { type AddressInfo, createServer as createPlainServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { createServer, Server as TlsServer } from 'node:tls'
import t, { type Test } from 'tap'
import { createAuthority } from './helpers/certificates.ts'
import { KIB, startStreaming } from './helpers/streamed.ts'

// Instances over TLS: undici's pool speaks to them.

const authority = createAuthority()

async function startBefore(t: Test, server: Server, more: Parameters<typeof startStreaming>[3] = {}) {
  const folder = await mkdtemp(join(tmpdir(), 'skerry-upstream-tls-'))
  t.teardown(() => rm(folder, { recursive: true }))
  const file = join(folder, 'ca.pem')
  await writeFile(file, authority.cert)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const { port } = server.address() as AddressInfo
  return await startStreaming(
    t,
    [`${server instanceof TlsServer ? 'https' : 'http'}://127.0.0.1:${port}`],
    { UPSTREAM_CA_FILE: file, EJECT_FAILURES: '1000' },
    more
  )
}

/** What a client gets: whether it is whole, it learns from its connection. */
async function ask(url: string): Promise<{ status: number; bytes: number; whole: boolean }> {
  const [answer] = (await once(get(url), 'response')) as [IncomingMessage]
  let bytes = 0
  answer.on('data', (part: Buffer) => {
    bytes += part.length
  })
  answer.on('error', () => undefined)
  await new Promise((resolve) => answer.once('close', resolve))
  return { status: answer.statusCode!, bytes, whole: answer.complete }
}

const HEADS: Record<string, string> = {
  close: 'HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n',
  old: 'HTTP/1.0 200 OK\r\n\r\n',
  coded: 'HTTP/1.1 200 OK\r\nconnection: close\r\ntransfer-encoding: gzip\r\n\r\n',
  length: `HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: ${100 * KIB}\r\n\r\n`,
  chunks: 'HTTP/1.1 200 OK\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n1000\r\n',
  live: 'HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: text/event-stream\r\n\r\n',
  empty: 'HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n'
}

for (const [kind, rule] of [
  ['passed through', {}],
  ['ordinary', { body: undefined, bodyLimit: undefined }]
] as const)
  t.test(`a part of an answer over TLS is never taken for the whole (${kind})`, async (t) => {
    const open = new Set<{ destroy(): unknown }>()
    const server = createServer(authority.issue('127.0.0.1'), (socket) => {
      open.add(socket)
      socket.on('error', () => undefined)
      socket.once('data', (bytes) => {
        const [, name, end] = /^GET \/f\/(\w+)-(\w+) /.exec(bytes.toString('latin1'))!
        socket.write(HEADS[name!]!)
        // In order, and not.
        socket.write(Buffer.alloc(name === 'empty' ? 0 : 4 * KIB), () =>
          end === 'ends' ? socket.end() : socket.destroy()
        )
      })
    })
    t.teardown(() => {
      for (const socket of open) socket.destroy()
    })
    const gateway = await startBefore(t, server, rule as Parameters<typeof startStreaming>[3])
    for (const end of ['ends', 'breaks']) {
      const of = (name: string) => ask(`${gateway.url}/f/${name}-${end}`)
      t.match(await of('close'), { status: 502 }, 'the end of the connection ends nothing')
      t.match(await of('old'), { status: 502 })
      t.match(await of('coded'), { status: 502 })
      t.match(await of('length'), { status: 200, whole: false })
      t.match(await of('chunks'), { status: 200, whole: false })
      t.match(await of('live'), { status: 200, bytes: 4 * KIB }, 'a live stream is never whole')
      t.match(await of('empty'), { status: 204, whole: true })
    }
    t.notMatch(await (await fetch(`${gateway.ops}/metrics`)).text(), /skerry_faults_total\{.*\} [1-9]/)
  })

t.test('an instance that would rather speak HTTP/2 is spoken to in HTTP/1.1', async (t) => {
  const versions = new Set<string>()
  const server = createSecureServer(
    { ...authority.issue('127.0.0.1'), allowHTTP1: true },
    async (request, response) => {
      versions.add(request.httpVersion)
      response.end(String((await text(request)).length))
    }
  )
  const gateway = await startBefore(t, server)
  const body = Buffer.alloc(100 * KIB)
  for (const path of ['/f/a', '/f/whole/a'])
    t.equal(await (await fetch(`${gateway.url}${path}`, { method: 'POST', body })).text(), String(body.length))
  t.strictSame([...versions], ['1.1'])
})

t.test('what an instance says twice is one header, as without TLS', async (t) => {
  const said = ['content-type: a/b', 'content-type: c/d', 'connection: x-hop', 'connection: keep-alive', 'x-hop: 1']
  const lines = [...said, 'x-two: 1', 'x-two: 2', 'x-skerry-deadline: 1', 'x-skerry-deadline: 2', 'retry-after: 1']
  const head = ['HTTP/1.1 503 Away', ...lines, 'retry-after: 2', 'set-cookie: a=1', 'set-cookie: b=2']
  const answer = (socket: Socket) => {
    socket
      .on('error', () => undefined)
      .on('data', () => socket.write(`${head.join('\r\n')}\r\ncontent-length: 2\r\n\r\nok`))
  }
  const found: unknown[] = []
  for (const server of [createServer(authority.issue('127.0.0.1'), answer), createPlainServer(answer)]) {
    const gateway = await startBefore(t, server, { body: undefined, bodyLimit: undefined })
    const { status, headers } = await fetch(`${gateway.url}/f/a`)
    const { 'x-two': two, 'content-type': type, 'x-hop': hop, 'retry-after': after } = Object.fromEntries(headers)
    found.push({ status, two, type, hop, after, cookies: headers.getSetCookie() })
    t.notMatch(await (await fetch(`${gateway.ops}/metrics`)).text(), /skerry_faults_total\{.*\} [1-9]/)
  }
  const [tls, plain] = found
  t.match(plain, { status: 503, two: '1, 2', type: 'a/b, c/d', hop: undefined, cookies: ['a=1', 'b=2'] })
  t.strictSame(tls, plain)
})
