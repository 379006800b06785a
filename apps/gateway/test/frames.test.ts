import t from 'tap'
import { closeFrame, FrameReader } from '../src/websocket/frames.ts'

/** A frame as it is on the wire. */
function frame(opcode: number, length: number, { fin = true, masked = true } = {}): Buffer {
  const head = [opcode | (fin ? 0x80 : 0)]
  const bit = masked ? 0x80 : 0
  if (length < 126) head.push(bit | length)
  else if (length < 65_536) head.push(bit | 126, length >> 8, length & 0xff)
  else {
    const long = Buffer.alloc(8)
    long.writeBigUInt64BE(BigInt(length))
    head.push(bit | 127, ...long)
  }
  if (masked) head.push(1, 2, 3, 4)
  return Buffer.concat([Buffer.from(head), Buffer.alloc(length, opcode)])
}

const up = (messageLimit = 1_000_000) => new FrameReader({ masked: true, messageLimit })

t.test('what is in order passes as it came, however it is cut', async (t) => {
  const all = Buffer.concat([
    frame(1, 0),
    frame(2, 125),
    frame(9, 3),
    frame(1, 300, { fin: false }),
    frame(10, 0),
    frame(0, 70_000),
    frame(8, 2)
  ])
  for (const size of [1, 2, 3, 7, 13, 1_000, all.length]) {
    const reader = up()
    const passed: Buffer[] = []
    for (let at = 0; at < all.length; at += size) passed.push(Buffer.from(reader.take(all.subarray(at, at + size))))
    t.ok(Buffer.concat(passed).equals(all), `in parts of ${size}`)
    t.equal(reader.fault, undefined)
    t.equal(reader.closed, true)
    t.equal(reader.between, true)
  }
})

t.test('after a close nothing passes', async (t) => {
  const reader = up()
  t.equal(reader.take(Buffer.concat([frame(8, 0), frame(1, 5)])).length, 6)
  t.equal(reader.take(frame(1, 5)).length, 0)
})

t.test('a frame that is not in order does not pass, nor what follows; what came before does', async (t) => {
  const cases: [string, number, Buffer][] = [
    ['no mask', 1002, frame(1, 5, { masked: false })],
    ['a fragmented ping', 1002, frame(9, 1, { fin: false })],
    ['a long ping', 1002, frame(9, 126)],
    ['too large', 1009, frame(1, 1_001)],
    ['too large, and absurdly', 1009, Buffer.from([0x82, 0xff, 255, 255, 255, 255, 255, 255, 255, 255, 0, 0, 0, 0])]
  ]
  for (const [name, fault, bytes] of cases) {
    const reader = up(1_000)
    const good = frame(1, 10)
    t.ok(reader.take(Buffer.concat([good, bytes, good])).equals(good), name)
    t.equal(reader.fault, fault, name)
    t.equal(reader.between, true)
  }
})

t.test('a message is bounded over all its fragments, and control frames between them do not count', async (t) => {
  const reader = up(1_000)
  reader.take(frame(1, 600, { fin: false }))
  reader.take(frame(9, 100))
  reader.take(frame(0, 400, { fin: false }))
  t.equal(reader.fault, undefined)
  t.equal(reader.take(frame(0, 1)).length, 0)
  t.equal(reader.fault, 1009)
  const next = up(1_000)
  for (let i = 0; i < 5; i++) next.take(frame(1, 600))
  t.equal(next.fault, undefined, 'messages for themselves')
})

t.test('until a boundary: the frame under way passes, no other begins', async (t) => {
  const reader = new FrameReader({ masked: false, messageLimit: Number.MAX_SAFE_INTEGER })
  const [one, two] = [frame(1, 10, { masked: false }), frame(1, 20, { masked: false })]
  reader.take(one.subarray(0, 5))
  t.equal(reader.between, false)
  t.ok(reader.take(Buffer.concat([one.subarray(5), two]), true).equals(one.subarray(5)))
  t.equal(reader.between, true)
  t.equal(reader.take(two, true).length, 0)
})

t.test('a close frame reads as one', async (t) => {
  t.strictSame([...closeFrame(1012, 'x', false)], [0x88, 3, 1012 >> 8, 1012 & 255, 120])
  const masked = closeFrame(1012, 'restarting', true)
  const reader = up()
  t.ok(reader.take(masked).equals(masked))
  t.equal(reader.closed, true)
  const payload = masked.subarray(6).map((byte, i) => byte ^ masked[2 + (i % 4)]!)
  t.equal(Buffer.from(payload.subarray(2)).toString(), 'restarting')
})
