import t from 'tap'
import { etagOf, noneMatch, preconditionFrom } from '../src/index.ts'

t.test('an ETag has the version when there is one, and changes with the body', async (t) => {
  t.match(etagOf({ version: 7 }, 'x'), /^"7\.[\w-]{27}"$/)
  t.match(etagOf({ items: [] }, 'x'), /^"[\w-]{27}"$/)
  t.match(etagOf(null, 'null'), /^"[\w-]{27}"$/)
  t.equal(etagOf({ version: 7 }, 'x'), etagOf({ version: 7 }, 'x'))
  t.not(etagOf({ version: 7 }, 'x'), etagOf({ version: 7 }, 'y'))
})

t.test('If-None-Match', async (t) => {
  const etag = '"1.abc"'
  for (const header of [etag, '*', `W/${etag}`, `"x", ${etag}`, `"x",W/${etag}`]) t.ok(noneMatch(header, etag), header)
  for (const header of ['"1.abd"', '1.abc', '', '"1.ab"', '"x", "y"', 'w/"1.abc"'])
    t.notOk(noneMatch(header, etag), header)
})

t.test('If-Match', async (t) => {
  t.equal(preconditionFrom(undefined), undefined)
  t.equal(preconditionFrom('*'), 'any')
  t.same(preconditionFrom('"12"'), { versions: [12] })
  t.same(preconditionFrom(' "12.aB_-9" '), { versions: [12] })
  t.same(preconditionFrom('W/"12.a"'), { versions: [12] }, 'of a proxy that compresses')
  t.same(preconditionFrom('"1", W/"2.b" ,"other","3"'), { versions: [1, 2, 3] }, 'any of a list')
  t.same(preconditionFrom(Array(32).fill('"1"').join()), { versions: Array(32).fill(1) })
  t.throws(() => preconditionFrom(Array(33).fill('"1"').join()), { code: 'BAD_REQUEST' })
  for (const header of ['w/"12.a"', '12', '"a"', 'W/"a", "b"', '', '"12.a', '"-1"', '"99999999999999999999"']) {
    t.throws(() => preconditionFrom(header), { code: 'PRECONDITION_FAILED' }, header)
  }
})
