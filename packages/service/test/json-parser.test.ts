import type { SkerryError } from '@skerry/contracts'
import t, { type Test } from 'tap'
import { MAX_DEPTH, MAX_MEMBERS, parseJson } from '../src/json-parser.ts'

const parse = (text: string) => parseJson(Buffer.from(text))

function refused(t: Test, text: string | Buffer, code: string, violation?: { path: string; code: string }) {
  try {
    parseJson(Buffer.from(text as string))
    t.fail(`accepted ${String(text).slice(0, 60)}`)
  } catch (error) {
    const { code: got, errors } = error as SkerryError
    t.equal(got, code)
    if (violation !== undefined) t.match(errors?.[0], violation)
  }
}

t.test('parses what is JSON', async (t) => {
  t.same(parse('{"a":[1,true,null,"é😀\\u00e9\\ud83d\\ude00"],"b":{"c":""}}'), {
    a: [1, true, null, 'é😀é😀'],
    b: { c: '' }
  })
  t.equal(parse(''), undefined)
  t.equal(parse('"text"'), 'text')
  t.same(parse('{"constructor":{"x":1}}'), { constructor: { x: 1 } }, 'an own member, which validation refuses')
})

t.test('says where it broke without quoting the body', async (t) => {
  for (const text of ['{', '{"a":', '[1,]', 'x', '{"secret":hunter2}', '"\u0001"', '{"a":1}}', '\ufeff{}']) {
    try {
      parse(text)
      t.fail(`accepted ${text}`)
    } catch (error) {
      const { code, detail } = error as SkerryError
      t.equal(code, 'BAD_JSON')
      t.notOk(detail?.includes('hunter2'))
    }
  }
})

t.test('refuses what no store would keep as it is', async (t) => {
  refused(t, Buffer.from([0x22, 0xff, 0x22]), 'BAD_JSON')
  refused(t, Buffer.from([0x22, 0xed, 0xa0, 0x80, 0x22]), 'BAD_JSON')
  refused(t, '{"a":{"b":"x\\u0000"}}', 'BAD_REQUEST', { path: 'body.a.b', code: 'text' })
  refused(t, '{"a":[1,"\\ud800"]}', 'BAD_REQUEST', { path: 'body.a.1', code: 'text' })
  refused(t, '{"a":"\\udc00x"}', 'BAD_REQUEST', { path: 'body.a', code: 'text' })
  refused(t, '{"\\u0000":1}', 'BAD_REQUEST', { path: 'body', code: 'text' })
  refused(t, '"\\u0000"', 'BAD_REQUEST', { path: 'body', code: 'text' })
  t.same(parse('{"a":"\\\\u0000"}'), { a: '\\u0000' }, 'an escaped backslash is text')
})

t.test('refuses __proto__ however it is written', async (t) => {
  refused(t, '{"__proto__":{"admin":true}}', 'BAD_REQUEST', { path: 'body.__proto__', code: 'unknown' })
  refused(t, '{"a":[{"\\u005f_proto__":1}]}', 'BAD_REQUEST', { path: 'body.a.0.__proto__', code: 'unknown' })
  t.equal(({} as { admin?: boolean }).admin, undefined)
})

t.test('is bounded in depth and members', async (t) => {
  const nested = (depth: number) => `${'['.repeat(depth)}${']'.repeat(depth)}`
  t.ok(parse(nested(MAX_DEPTH)))
  refused(t, nested(MAX_DEPTH + 1), 'BAD_REQUEST', { code: 'too_deep', path: `body${'.0'.repeat(MAX_DEPTH)}` })
  refused(t, nested(500_000), 'BAD_REQUEST')
  refused(t, `${'{"a":'.repeat(100_000)}1${'}'.repeat(100_000)}`, 'BAD_REQUEST')
  t.ok(parse(`[${'1,'.repeat(MAX_MEMBERS - 1)}1]`))
  refused(t, `[${'1,'.repeat(MAX_MEMBERS)}1]`, 'BAD_REQUEST', { path: 'body', code: 'too_many' })
})

t.test('a path in an answer is short and well-formed', async (t) => {
  const name = 'x'.repeat(5000)
  try {
    parse(`{"${name}":"\\u0000"}`)
    t.fail('accepted')
  } catch (error) {
    t.ok((error as SkerryError).errors![0]!.path.length < 250)
  }
})
