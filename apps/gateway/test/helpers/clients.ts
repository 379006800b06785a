import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { request as httpRequest, type IncomingHttpHeaders } from 'node:http'
import { type ClientHttp2Session, connect as connectHttp2 } from 'node:http2'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buffer, text } from 'node:stream/consumers'
import type { Test } from 'tap'
import { makeCertificate } from './self-signed.ts'

export type Answer = { status: number; headers: Record<string, unknown>; body: string }

/** A connection of HTTP/2 that ends with the test; its errors are told by its requests. */
export function openSession(t: Test, url: string, options: object = {}): ClientHttp2Session {
  const session = connectHttp2(url, options)
  session.on('error', () => {})
  t.teardown(() => session.destroy())
  return session
}

/** One request over HTTP/2 and its whole answer. */
export async function ask(session: ClientHttp2Session, headers: object = {}, body?: string | Buffer): Promise<Answer> {
  const stream = session.request({ ':path': '/v1/x', ...headers }, { endStream: body === undefined })
  if (body !== undefined) stream.end(body)
  const [head] = await once(stream, 'response')
  return { status: head[':status'], headers: head, body: await text(stream) }
}

export type Got = { status: number; headers: IncomingHttpHeaders; body: Buffer }
export type Get = (path: string, headers?: Record<string, string>, method?: string) => Promise<Got>

/** What asks over HTTP/1.1 or HTTP/2, with no header of its own. */
export function getters(t: Test, url: string): Record<'HTTP/1.1' | 'HTTP/2', Get> {
  const session = openSession(t, url)
  return {
    async 'HTTP/1.1'(path, headers = {}, method = 'GET') {
      const { promise, resolve, reject } = Promise.withResolvers<Got>()
      httpRequest(url + path, { method, headers }, async (answer) => {
        resolve({ status: answer.statusCode!, headers: answer.headers, body: await buffer(answer) })
      })
        .once('error', reject)
        .end()
      return promise
    },
    async 'HTTP/2'(path, headers = {}, method = 'GET') {
      const stream = session.request({ ':path': path, ':method': method, ...headers })
      const { promise, resolve, reject } = Promise.withResolvers<Got>()
      stream.once('error', reject)
      stream.once('response', async (head) => {
        resolve({ status: Number(head[':status']), headers: head as IncomingHttpHeaders, body: await buffer(stream) })
      })
      return promise
    }
  }
}

/** Sends parts one after another, each in a packet of its own, and reads until the server closes. */
export async function talk(port: number, ...parts: (string | Buffer)[]): Promise<string> {
  const socket = connect(port, '127.0.0.1').setNoDelay(true)
  const answer = text(socket)
  for (const part of parts) {
    await new Promise((resolve) => socket.write(part, resolve))
    await new Promise(setImmediate)
  }
  return answer
}

/** Where a test's certificate is, and what writes one there. */
export async function certificateFiles(t: Test) {
  const folder = await mkdtemp(join(tmpdir(), 'skerry-tls-'))
  t.teardown(() => rm(folder, { recursive: true }))
  const files = { TLS_CERT_FILE: join(folder, 'cert.pem'), TLS_KEY_FILE: join(folder, 'key.pem') }
  const write = async (name: string) => {
    const made = makeCertificate(name)
    await writeFile(files.TLS_CERT_FILE, made.cert)
    await writeFile(files.TLS_KEY_FILE, made.key)
    return made
  }
  return { files, write }
}
