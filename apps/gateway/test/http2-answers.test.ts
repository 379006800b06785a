import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import { connect, type IncomingHttpHeaders } from 'node:http2'
import { promisify } from 'node:util'
import { waitFor } from '@skerry/testing'
import t from 'tap'
import { startListener } from './helpers/listener.ts'

t.test('an answer that has no content says no length of it: it would be malformed', async (t) => {
  const { port } = await startListener(t, {
    handler: (request, response) => {
      response.writeHead(Number(request.url!.slice(1)), ['content-length', '5', 'x-mine', '1'])
      response.end('abcde')
    }
  })
  const session = connect(`http://127.0.0.1:${port}`)
  t.teardown(() => session.close())
  for (const [status, length, body] of [
    [200, '5', 'abcde'],
    [204, undefined, ''],
    [205, '0', '']
  ] as const) {
    const stream = session.request({ ':path': `/${status}` })
    const [headers] = (await once(stream, 'response')) as [Record<string, unknown>]
    t.equal(headers[':status'], status)
    t.equal(headers['content-length'], length, `the length that a ${status} says`)
    t.equal(headers['x-mine'], '1')
    let came = ''
    for await (const part of stream) came += part
    t.equal(came, body)
  }
})

t.test('a 205 whose body breaks off does not look whole, though nothing of a body is sent', async (t) => {
  const begun: ServerResponse[] = []
  const { port } = await startListener(t, {
    handler: (_request, response) => {
      response.writeHead(205, ['content-length', '10', 'x-mine', '1'])
      response.flushHeaders()
      t.equal(response.headersSent, true, 'to its handler the head is written')
      t.throws(() => response.writeHead(200), 'once')
      response.write('abcde', () => begun.push(response))
    }
  })
  const session = connect(`http://127.0.0.1:${port}`)
  t.teardown(() => session.close())
  const ping = promisify((then: (error: Error | null) => void) => session.ping(then))
  for (const path of ['/whole', '/broken']) {
    const stream = session.request({ ':path': path })
    const heads: IncomingHttpHeaders[] = []
    stream.on('response', (head) => heads.push(head))
    const failed: Error[] = []
    stream.on('error', (error) => failed.push(error))
    const closed = new Promise((resolve) => stream.resume().once('close', resolve))
    await waitFor(() => begun.length > 0)
    // Whatever was sent is here.
    await ping()
    if (path === '/whole') begun.pop()!.end('fghij')
    else begun.pop()!.destroy()
    await closed
    if (path === '/whole') {
      t.match(heads, [{ ':status': 205, 'content-length': '0', 'x-mine': '1' }])
      t.strictSame(failed, [])
    } else {
      t.strictSame(heads, [])
      t.match(failed, [{ code: 'ERR_HTTP2_STREAM_ERROR' }], 'its stream is reset')
    }
  }
})

t.test('a 205 without a body, and one whose body comes with its end', async (t) => {
  const { port } = await startListener(t, {
    handler: (request, response) => {
      response.statusCode = 205
      response.end(request.url === '/none' ? undefined : Buffer.alloc(100_000, 'x'))
    }
  })
  const session = connect(`http://127.0.0.1:${port}`)
  t.teardown(() => session.close())
  for (const path of ['/none', '/long']) {
    const stream = session.request({ ':path': path })
    const [headers] = (await once(stream, 'response')) as [Record<string, unknown>]
    t.equal(headers[':status'], 205)
    let came = ''
    for await (const part of stream) came += part
    t.equal(came, '')
    t.equal(stream.rstCode, 0)
  }
})
