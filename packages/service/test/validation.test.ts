import { defineRoute, Strict } from '@skerry/contracts'
import t from 'tap'
import Type, { type TSchema } from 'typebox'
import { validatorOf, validatorsOf } from '../src/validation.ts'
import { widgetRoutes } from './support/server.ts'

const { body } = validatorsOf(widgetRoutes.create)
const { query } = validatorsOf(widgetRoutes.list)

t.test('bodies: every violation with its path and code', async (t) => {
  const cases: Array<[unknown, Array<[string, string]>]> = [
    [{ name: 'a' }, []],
    [{ name: 'a', note: null, tags: ['a'], size: 1 }, []],
    [undefined, [['body', 'required']]],
    [null, [['body', 'type']]],
    [[], [['body', 'type']]],
    ['x', [['body', 'type']]],
    [{}, [['body.name', 'required']]],
    [{ name: 1 }, [['body.name', 'type']]],
    [{ name: '' }, [['body.name', 'too_short']]],
    [{ name: 'x'.repeat(21) }, [['body.name', 'too_long']]],
    [{ name: '😀'.repeat(20) }, []],
    [
      { name: 'a', extra: 1, other: 2 },
      [
        ['body.extra', 'unknown'],
        ['body.other', 'unknown']
      ]
    ],
    [{ name: 'a', note: 5 }, [['body.note', 'type']]],
    [{ name: 'a', note: 'x'.repeat(11) }, [['body.note', 'too_long']]],
    [{ name: 'a', tags: ['a', 'B'] }, [['body.tags.1', 'pattern']]],
    [{ name: 'a', tags: ['a', 'a'] }, [['body.tags', 'not_unique']]],
    [{ name: 'a', tags: ['a', 'b', 'c', 'd'] }, [['body.tags', 'too_many']]],
    [{ name: 'a', size: '5' }, [['body.size', 'type']]],
    [{ name: 'a', size: 1.5 }, [['body.size', 'type']]],
    [{ name: 'a', size: 11 }, [['body.size', 'too_large']]],
    [{ name: 'a', size: 0 }, [['body.size', 'too_small']]],
    [{ name: 'a', size: Number.POSITIVE_INFINITY }, [['body.size', 'type']]],
    [JSON.parse('{"name":"a","constructor":1}'), [['body.constructor', 'unknown']]],
    [{ name: 'a', 'a/b~c': 1 }, [['body.a/b~c', 'unknown']]]
  ]
  for (const [value, expected] of cases) {
    const found = (body(value) ?? []).map(({ path, code }) => [path, code])
    t.same(found.sort(), expected.sort(), JSON.stringify(value)?.slice(0, 60))
  }
  t.match(validatorsOf(widgetRoutes.update).body({}), [{ path: 'body', code: 'too_few' }])
})

t.test('queries: numbers and booleans are converted, defaults filled, in place', async (t) => {
  const good: Array<[Record<string, unknown>, Record<string, unknown>]> = [
    [{}, { limit: 20 }],
    [
      { limit: '5', big: 'true', q: '7' },
      { limit: 5, big: true, q: '7' }
    ],
    [{ big: 'false' }, { limit: 20, big: false }]
  ]
  for (const [value, expected] of good) {
    t.equal(query(value), undefined)
    t.same(value, expected)
  }
  const bad: Array<[Record<string, unknown>, string, string]> = [
    [{ limit: '' }, 'query.limit', 'type'],
    [{ limit: '1e1' }, 'query.limit', 'type'],
    [{ limit: '0x10' }, 'query.limit', 'type'],
    [{ limit: ' 5' }, 'query.limit', 'type'],
    [{ limit: '1.5' }, 'query.limit', 'type'],
    [{ limit: '0' }, 'query.limit', 'too_small'],
    [{ limit: '101' }, 'query.limit', 'too_large'],
    [{ limit: ['1', '2'] }, 'query.limit', 'type'],
    [{ big: '1' }, 'query.big', 'type'],
    [{ nope: 'x' }, 'query.nope', 'unknown'],
    [{ q: 'x'.repeat(11) }, 'query.q', 'too_long']
  ]
  for (const [value, path, code] of bad) t.match(query(value), [{ path, code }], JSON.stringify(value))
})

t.test('a part without a schema takes nothing', async (t) => {
  const v = validatorsOf(defineRoute({ ...widgetRoutes.remove, params: Strict({ id: Type.String() }) }))
  for (const empty of [undefined, null, {}]) t.equal(v.body(empty), undefined)
  t.match(v.body({ a: 1 }), [{ path: 'body.a', code: 'unknown' }])
  t.match(v.body([1]), [{ path: 'body', code: 'unknown' }])
  t.match(v.query({ x: '1' }), [{ path: 'query.x', code: 'unknown' }])
})

t.test('arrays whose items must differ are only where their length is looked at first', (t) => {
  const list = Type.Array(Type.String(), { maxItems: 3, uniqueItems: true })
  const checks = (body: TSchema) => () => validatorOf(body, 'body')
  for (const [name, body] of Object.entries({
    record: Type.Record(Type.String(), list),
    tuple: Type.Tuple([list]),
    intersection: Type.Intersect([Type.Object({ list }), Type.Object({})]),
    'deep in a member': Strict({ all: Type.Array(Type.Record(Type.String(), list)) })
  }))
    t.throws(checks(body), { message: /an array with uniqueItems must be a member/ }, name)
  t.throws(checks(Type.Array(Type.String(), { uniqueItems: true })), { message: /needs maxItems/ })
  const many = Array.from({ length: 10 }, () => 'a')
  const tooMany = [{ code: 'too_many' }]
  t.match(validatorOf(Strict({ all: Type.Array(Strict({ list })) }), 'body')({ all: [{ list: many }] }), tooMany)
  t.match(validatorOf(Type.Union([list, Type.Null()]), 'body')(many), tooMany)
  t.end()
})
