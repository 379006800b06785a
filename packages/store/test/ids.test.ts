import t from 'tap'
import { BUCKETS, bucketFromText, bucketOf, isId, newId, randomBucket, timeOf } from '../src/index.ts'

t.test('an id gives back its bucket and its time', async (t) => {
  for (const bucket of [0, 1, 127, 128, 2047, BUCKETS - 1]) {
    for (const time of [0, 1, Date.now(), 2 ** 48 - 1]) {
      const id = newId(bucket, time)
      t.ok(isId(id), 'it is one')
      t.equal(bucketOf(id), bucket)
      t.equal(timeOf(id), time)
    }
  }
})

t.test('ids differ and sort by time', async (t) => {
  const ids = new Set(Array.from({ length: 2_000 }, () => newId(7, 1_700_000_000_000)))
  t.equal(ids.size, 2_000)
  const inTime = Array.from({ length: 500 }, (_, i) => newId(randomBucket(), 1_700_000_000_000 + i))
  t.same([...inTime].sort(), inTime)
})

t.test('an id is made of its parts as documented: time, bucket, random', async (t) => {
  // 2^45 ms and more: each character of the time takes part.
  const time = 0o5432_1076_5432_1076
  const id = newId(0b1010_0110_0011, time)
  const digits = '0123456789abcdefghjkmnpqrstvwxyz'
  const inTime = Array.from({ length: 10 }, (_, i) => digits[Number((BigInt(time) >> BigInt(45 - 5 * i)) & 31n)]).join(
    ''
  )
  t.equal(id.slice(0, 10), inTime)
  t.equal(id.slice(10, 12), digits[0b10100]! + digits[0b11000]!, 'ten bits of the bucket')
  t.equal(digits.indexOf(id[12]!) >> 3, 0b11, 'and two in the next character')
  const now = timeOf(newId(0))
  t.ok(Math.abs(now - Date.now()) < 60_000, 'made now, when no time is said')
})

t.test('every random character takes every value', async (t) => {
  const seen = Array.from({ length: 26 }, () => new Set<string>())
  for (let i = 0; i < 1_000; i++) {
    for (const [at, c] of [...newId(0)].entries()) seen[at]?.add(c)
  }
  for (let at = 13; at < 26; at++) t.equal(seen[at]!.size, 32, `character ${at}`)
})

t.test('no two random bits go together', async (t) => {
  const digits = '0123456789abcdefghjkmnpqrstvwxyz'
  const ids = Array.from({ length: 400 }, () =>
    [...newId(0).slice(12)].flatMap((c, at) =>
      [16, 8, 4, 2, 1].slice(at === 0 ? 2 : 0).map((bit) => digits.indexOf(c) & bit)
    )
  )
  t.equal(ids[0]?.length, 68)
  const together: string[] = []
  for (let a = 0; a < 68; a++)
    for (let b = 0; b < a; b++) {
      const same = ids.filter((bits) => (bits[a] === 0) === (bits[b] === 0)).length
      if (same < 100 || same > 300) together.push(`bits ${b} and ${a}: ${same} of 400`)
    }
  t.same(together, [])
})

t.test('what is not an id is not taken for one', async (t) => {
  const good = newId(5)
  for (const [i, bad] of [
    '',
    'x',
    good.slice(1),
    `${good}0`,
    good.toUpperCase(),
    `8${good.slice(1)}`,
    `${good.slice(0, 25)}i`,
    `i${good.slice(1)}`,
    ...[...'ilou-'].map((c) => good.slice(0, 13) + c + good.slice(14)),
    `${good.slice(0, 25)}é`
  ].entries()) {
    t.notOk(isId(bad), `number ${i}`)
  }
  for (const bucket of [BUCKETS, -1, 0.5, Number.NaN, Number.POSITIVE_INFINITY])
    t.throws(() => newId(bucket), { name: 'RangeError', message: `not a bucket: ${bucket}` })
  t.throws(() => bucketOf('no'), { name: 'RangeError', message: 'not an id' })
  for (const at of [10, 11, 12])
    for (const unfit of ['i', 'é'])
      t.throws(() => bucketOf(good.slice(0, at) + unfit + good.slice(at + 1)), RangeError, `${unfit} at ${at}`)
  t.equal(bucketOf(`${good}:${newId(6)}`), 5, 'what begins with an id has its bucket')
  // A letter that no id has counts as nothing, so that what is no id has some time rather than none.
  t.equal(timeOf('é000000001'), 1)
})

t.test('buckets spread evenly', async (t) => {
  const counts = new Array(16).fill(0)
  const odd = [0, 0]
  for (let i = 0; i < 4_000; i++) {
    const bucket = randomBucket()
    counts[bucket >> 8]++
    odd[bucket & 1]!++
  }
  t.ok(Math.min(...odd) > 1_700, 'their last bit, too')
  for (const count of counts) t.ok(count > 125 && count < 375, `${count} of 250`)
  t.equal(bucketFromText('ada@example.com'), bucketFromText('ada@example.com'))
  // FNV-1a by its published vectors (0x811c9dc5 of nothing, 0xe40c292c of "a", 0xbf9cf968 of "foobar"), folded.
  const folded = (hash: number) => (hash ^ (hash >>> 16)) & (BUCKETS - 1)
  t.equal(bucketFromText(''), folded(0x811c9dc5))
  t.equal(bucketFromText('a'), folded(0xe40c292c))
  t.equal(bucketFromText('foobar'), folded(0xbf9cf968))
  t.ok(new Set(Array.from({ length: 1_000 }, (_, i) => bucketFromText(`user${i}`))).size > 850)
})
