import t from 'tap'
import { createSseParser } from '../src/sse.ts'

t.test('parses events however the text is cut', async (t) => {
  const text =
    ': beat\n\nretry: 700\nid: 1\nevent: post.created\ndata: {"a":\ndata: 1}\n\r\ndata:x\r\n\r\nid\rdata: last\r\r'
  const whole = createSseParser().push(text)
  t.same(whole, [
    { id: '1', type: 'post.created', data: '{"a":\n1}' },
    { id: '1', type: 'message', data: 'x' },
    { id: '', type: 'message', data: 'last' }
  ])
  for (let size = 1; size < 9; size++) {
    const parser = createSseParser()
    const out = []
    for (let i = 0; i < text.length; i += size) out.push(...parser.push(text.slice(i, i + size)))
    t.same(out, whole, `in pieces of ${size}`)
    t.equal(parser.retry, 700)
  }
})

t.test('an event without its blank line, and one without data, are not events', async (t) => {
  const parser = createSseParser()
  t.same(parser.push('event: x\n\nid: 5\ndata: half'), [])
  t.same(parser.push('\n\n'), [{ id: '5', type: 'message', data: 'half' }])
})

t.test('an endless line or message is an error, not memory', async (t) => {
  const parser = createSseParser()
  t.throws(() => {
    for (let i = 0; i < 30; i++) parser.push('x'.repeat(50_000))
  }, RangeError)
  const lines = createSseParser()
  t.throws(() => {
    for (let i = 0; i < 30; i++) lines.push(`data: ${'x'.repeat(50_000)}\n`)
  }, RangeError)
})
