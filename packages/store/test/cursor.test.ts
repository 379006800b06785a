import t from 'tap'
import { decodeCursor, encodeCursor, toPage } from '../src/index.ts'

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
