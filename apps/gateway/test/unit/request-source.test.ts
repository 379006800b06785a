import type { IncomingMessage, ServerResponse } from 'node:http'
import { PassThrough } from 'node:stream'
import { setImmediate as turn } from 'node:timers/promises'
import t from 'tap'
import { RequestSource } from '../../src/proxy/streamed/request-source.ts'
import type { BodySink } from '../../src/upstreams/wire/body.ts'

const part = (text: string) => Buffer.from(text)

/** A body without a length, and what its sinks get of it. */
function make() {
  const body = new PassThrough()
  const req = Object.assign(body, { headers: {}, httpVersionMajor: 1, rawTrailers: [] })
  const failed: Error[] = []
  const source = new RequestSource(req as unknown as IncomingMessage, {} as ServerResponse, 1_000, (error) =>
    failed.push(error)
  )
  const sink = () => {
    const got = { text: '', ended: 0 }
    const taker: BodySink = {
      write(bytes, done) {
        got.text += bytes
        done(true)
        return true
      },
      end() {
        got.ended++
      }
    }
    return { taker, got }
  }
  return { body, source, failed, sink }
}

t.test('what comes between two sinks is the second one’s: nothing of the body is missing there', async (t) => {
  const { body, source, failed, sink } = make()
  const [first, second] = [sink(), sink()]
  source.attach(first.taker)
  await turn()
  source.detach(first.taker)
  // The other instance is still being connected to.
  body.write(part('first'))
  await turn()
  t.equal(source.begun, false, 'it was taken by nobody')
  source.attach(second.taker)
  body.end(part('second'))
  await turn()
  await turn()
  t.strictSame(first.got, { text: '', ended: 0 })
  t.strictSame(second.got, { text: 'firstsecond', ended: 1 })
  t.strictSame(failed, [])
})

t.test('a body that ends between two sinks ends at the second one', async (t) => {
  const { body, source, sink } = make()
  const [first, second] = [sink(), sink()]
  source.attach(first.taker)
  await turn()
  source.detach(first.taker)
  body.end()
  await turn()
  source.attach(second.taker)
  await turn()
  await turn()
  t.strictSame(first.got, { text: '', ended: 0 })
  t.strictSame(second.got, { text: '', ended: 1 })
})

t.test('a body that has begun goes nowhere else', async (t) => {
  const { body, source, sink } = make()
  const [first, second] = [sink(), sink()]
  source.attach(first.taker)
  body.write(part('first'))
  await turn()
  t.equal(source.begun, true)
  source.detach(first.taker)
  body.end(part('second'))
  await turn()
  t.strictSame(first.got, { text: 'first', ended: 0 })
  t.strictSame(second.got, { text: '', ended: 0 })
})
