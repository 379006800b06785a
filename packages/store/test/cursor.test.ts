import t from 'tap'
import { countFitting, decodeCursor, encodeCursor, PAGE_BYTES, toPage } from '../src/index.ts'

t.test('a cursor comes back as it went', async (t) => {
  t.same(decodeCursor('posts', encodeCursor('posts', ['a', 5]), ['string', 'number']), ['a', 5])
  t.equal(decodeCursor('posts', undefined, ['string']), undefined)
})

t.test('any other text is refused, with the field named', async (t) => {
  const bad = [
    '',
    'x',
    '!!',
    encodeCursor('other', ['a']),
    encodeCursor('posts', [1]),
    encodeCursor('posts', ['a', 'b']),
    Buffer.from('{}').toString('base64url')
  ]
  bad.push(Buffer.from('null').toString('base64url'), encodeCursor('posts', ['x'.repeat(300)]))
  for (const cursor of bad) {
    t.throws(
      () => decodeCursor('posts', cursor, ['string']),
      { code: 'BAD_CURSOR', errors: [{ path: 'query.cursor' }] },
      cursor
    )
  }
})

t.test('values have their types and bounds', async (t) => {
  const refused = { code: 'BAD_CURSOR' }
  const of = (...values: unknown[]) => Buffer.from(JSON.stringify(values)).toString('base64url')
  const longest = 'x'.repeat(256)
  t.same(decodeCursor('n', of('n', longest), ['string']), [longest])
  t.throws(() => decodeCursor('n', of('n', `${longest}x`), ['string']), refused)
  t.same(decodeCursor('n', of('n', 1.5), ['number']), [1.5])
  for (const value of ['1', null, true, [1], { length: 1 }])
    t.throws(() => decodeCursor('n', of('n', value), ['number']), refused)
  // JSON has no word for it, but a number that is too large for one.
  t.throws(() => decodeCursor('n', Buffer.from('["n",1e999]').toString('base64url'), ['number']), refused)
  for (const value of [1, null, ['x'], { length: 1 }])
    t.throws(() => decodeCursor('n', of('n', value), ['string']), refused)
  t.throws(() => decodeCursor('n', of('n', 'a', 'b', 'c'), ['string', 'string']), refused, 'one too many')
  t.throws(() => decodeCursor('n', of('n', 'a'), ['string', 'string']), refused, 'one too few')
  t.throws(() => decodeCursor('n', of('n', 'a', 1), ['string', 'string']), refused, 'each is looked at')
  t.same(decodeCursor('n', of('n'), []), [])
  const like = Buffer.from(JSON.stringify({ 0: 'n', 1: 'a', length: 2 })).toString('base64url')
  t.throws(() => decodeCursor('n', like, ['string']), refused, 'no list')
  t.throws(() => decodeCursor('n', 'e30', ['string']), {
    errors: [{ path: 'query.cursor', code: 'cursor', message: /nextCursor/ }]
  })
})

t.test('the extra item only says that there is more', async (t) => {
  const page = toPage(
    'n',
    [1, 2, 3],
    2,
    (n) => [n],
    (n) => n * 10
  )
  t.same(page.items, [10, 20])
  t.same(decodeCursor('n', page.nextCursor ?? '', ['number']), [2])
  t.same(
    toPage(
      'n',
      [1, 2],
      2,
      (n) => [n],
      (n) => n
    ),
    { items: [1, 2], nextCursor: null }
  )
  t.same(
    toPage(
      'n',
      [],
      2,
      (n: number) => [n],
      (n) => n
    ),
    { items: [], nextCursor: null }
  )
})

t.test('a page has a bound in bytes, and one item at least', async (t) => {
  const bytes = (n: number) => n
  t.equal(countFitting([], bytes), 0)
  t.equal(countFitting([PAGE_BYTES / 2, PAGE_BYTES / 2, 1], bytes), 2)
  t.equal(countFitting([10 * PAGE_BYTES, 1], bytes), 1)
  const page = (items: number[], limit: number) =>
    toPage(
      'n',
      items,
      limit,
      (n) => [n],
      (n) => n,
      bytes
    )
  const large = PAGE_BYTES / 2
  const cut = page([large, large + 1, 3, 4], 3)
  t.same(cut.items, [large])
  t.same(decodeCursor('n', cut.nextCursor ?? '', ['number']), [large], 'the next begins where it was cut')
  t.same(page([large, large + 1], 2).items, [large])
  t.ok(page([large, large + 1], 2).nextCursor, 'also when all had been read')
  t.same(page([1, 2], 2), { items: [1, 2], nextCursor: null })
})
