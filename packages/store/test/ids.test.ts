import t from 'tap'
import { BUCKETS, bucketFromText, bucketOf, isId, newId, randomBucket, timeOf } from '../src/index.ts'

t.test('an id gives back its bucket and its time', async (t) => {
  for (const bucket of [0, 1, 127, 128, 2047, BUCKETS - 1]) {
    for (const time of [0, 1, Date.now(), 2 ** 48 - 1]) {
      const id = newId(bucket, time)
      t.ok(isId(id), id)
      t.equal(bucketOf(id), bucket)
      t.equal(timeOf(id), time)
    }
  }
})

t.test('ids differ and sort by time', async (t) => {
  const ids = new Set(Array.from({ length: 50_000 }, () => newId(7, 1_700_000_000_000)))
  t.equal(ids.size, 50_000)
  const inTime = Array.from({ length: 1_000 }, (_, i) => newId(randomBucket(), 1_700_000_000_000 + i))
  t.same([...inTime].sort(), inTime)
})

t.test('every random character takes every value', async (t) => {
  const seen = Array.from({ length: 26 }, () => new Set<string>())
  for (let i = 0; i < 5_000; i++) {
    for (const [at, c] of [...newId(0)].entries()) seen[at]?.add(c)
  }
  for (let at = 13; at < 26; at++) t.equal(seen[at]!.size, 32, `character ${at}`)
})

t.test('what is not an id is not taken for one', async (t) => {
  const good = newId(5)
  for (const bad of [
    '',
    'x',
    good.slice(1),
    `${good}0`,
    good.toUpperCase(),
    `8${good.slice(1)}`,
    `${good.slice(0, 25)}i`,
    `${good.slice(0, 25)}é`
  ]) {
    t.notOk(isId(bad), bad)
  }
  t.throws(() => newId(BUCKETS), RangeError)
  t.throws(() => newId(-1), RangeError)
  t.throws(() => bucketOf('no'), RangeError)
})

t.test('buckets spread evenly', async (t) => {
  const counts = new Array(16).fill(0)
  for (let i = 0; i < 16_000; i++) counts[randomBucket() >> 8]++
  for (const count of counts) t.ok(count > 700 && count < 1_300, `${count} of 1000`)
  t.equal(bucketFromText('ada@example.com'), bucketFromText('ada@example.com'))
  t.ok(new Set(Array.from({ length: 1_000 }, (_, i) => bucketFromText(`user${i}`))).size > 850)
})
