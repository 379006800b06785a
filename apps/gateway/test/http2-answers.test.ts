import { once } from 'node:events'
import { connect } from 'node:http2'
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
