import t from 'tap'
import { SharedReads } from '../../src/proxy/streamed/shared-reads.ts'

/** Parts of a read that has so many bytes, each from where and how long. */
function partsOf(size: number, ...parts: [from: number, length: number][]) {
  const memory = new ArrayBuffer(size)
  return { memory, parts: parts.map(([from, length]) => Buffer.from(memory, from, length)) }
}

const NEXT = Buffer.from(new ArrayBuffer(20))

t.test('the memory of a read is freed when all of its parts are written and others have come', async (t) => {
  const reads = new SharedReads()
  const { memory, parts } = partsOf(100, [9, 40], [58, 37])
  const [first, second] = parts.map((part) => reads.take(part))
  first!(true)
  t.notOk(memory.detached)
  reads.take(NEXT)
  t.notOk(memory.detached, 'one is still to be written')
  second!(true)
  t.ok(memory.detached)
})

t.test('not where another body may be in it, or a part was not written', async (t) => {
  const layouts: [string, number, [number, number][]][] = [
    ['before', 100, [[10, 90]]],
    [
      'between',
      100,
      [
        [0, 40],
        [50, 50]
      ]
    ],
    ['behind', 100, [[0, 90]]]
  ]
  for (const [where, size, layout] of layouts) {
    const reads = new SharedReads()
    const { memory, parts } = partsOf(size, ...layout)
    for (const part of parts) reads.take(part)(true)
    reads.take(NEXT)
    t.notOk(memory.detached, where)
  }
  const reads = new SharedReads()
  const { memory, parts } = partsOf(10, [0, 10])
  reads.take(parts[0]!)(false)
  reads.take(NEXT)
  t.notOk(memory.detached, 'not written')
  const own = new SharedReads()
  const last = partsOf(10, [0, 10])
  own.take(last.parts[0]!)(true)
  t.notOk(last.memory.detached, 'nobody knows what else is in the last')
})
