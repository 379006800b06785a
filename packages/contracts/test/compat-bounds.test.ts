import t from 'tap'
import Type from 'typebox'
import { declaredIn, exampleOf, refusals } from '../src/compat/index.ts'

type Schema = Record<string, unknown>
/** Whether readers by `taken` can read all that is written by `given`. */
const fits = (given: unknown, taken: unknown, released: 'given' | 'taken' = 'given') =>
  refusals(given, taken, released).length === 0
const number = (limits: Schema) => ({ type: 'number', ...limits })

t.test('bounds of numbers, exclusive and not, at the bound itself', async (t) => {
  const cases: [Schema, Schema, boolean][] = [
    [{ minimum: 5 }, { minimum: 5, title: 'x' }, true],
    [{ minimum: 5 }, { minimum: 4 }, true],
    [{ minimum: 5 }, { minimum: 6 }, false],
    [{ exclusiveMinimum: 5 }, { minimum: 5 }, true],
    [{ exclusiveMinimum: 4 }, { minimum: 5 }, false],
    [{ minimum: 1, exclusiveMinimum: 5 }, { minimum: 5 }, true],
    [{ minimum: 5, exclusiveMinimum: 1 }, { minimum: 5 }, true],
    [{ minimum: 5 }, { exclusiveMinimum: 5 }, false],
    [{ minimum: 6 }, { exclusiveMinimum: 5 }, true],
    [{ exclusiveMinimum: 5 }, { exclusiveMinimum: 5, title: 'x' }, true],
    [{ exclusiveMinimum: 6 }, { exclusiveMinimum: 5 }, true],
    [{ exclusiveMinimum: 4 }, { exclusiveMinimum: 5 }, false],
    [{}, { exclusiveMinimum: 5 }, false],
    [{ maximum: 5 }, { maximum: 6 }, true],
    [{ maximum: 5 }, { maximum: 4 }, false],
    [{ exclusiveMaximum: 5 }, { maximum: 5 }, true],
    [{ exclusiveMaximum: 6 }, { maximum: 5 }, false],
    [{ maximum: 9, exclusiveMaximum: 5 }, { maximum: 5 }, true],
    [{ maximum: 5, exclusiveMaximum: 9 }, { maximum: 5 }, true],
    [{ maximum: 5 }, { exclusiveMaximum: 5 }, false],
    [{ maximum: 4 }, { exclusiveMaximum: 5 }, true],
    [{ exclusiveMaximum: 4 }, { exclusiveMaximum: 5 }, true],
    [{ exclusiveMaximum: 6 }, { exclusiveMaximum: 5 }, false],
    [{}, { exclusiveMaximum: 5 }, false],
    [{ multipleOf: 10 }, { multipleOf: 5 }, true],
    [{ multipleOf: 5 }, { multipleOf: 10 }, false],
    [{ multipleOf: 7 }, { multipleOf: 5 }, false]
  ]
  for (const [given, taken, good] of cases)
    t.equal(fits(number(given), number(taken)), good, `${JSON.stringify(given)} for ${JSON.stringify(taken)}`)
  t.ok(fits({ type: 'integer', minimum: 1 }, number({ minimum: 0 })), 'an integer is a number')
  t.notOk(fits({ type: 'integer', minimum: -1 }, number({ minimum: 0 })), '… within its bounds')
  t.notOk(fits({ type: 'number' }, { type: 'integer' }))
  t.notOk(fits({ type: 'integer' }, { type: 'string' }))
  t.notOk(fits({ type: 'string' }, number({})))
})

t.test('bounds of texts, lists and objects, at the bound itself', async (t) => {
  const kinds: [string, string, string][] = [
    ['string', 'minLength', 'maxLength'],
    ['array', 'minItems', 'maxItems'],
    ['object', 'minProperties', 'maxProperties']
  ]
  for (const [type, least, most] of kinds) {
    const of = (limits: Schema) => ({ type, ...limits })
    t.ok(fits(of({ [least]: 2 }), of({ [least]: 2, title: 'x', [most]: undefined })), least)
    t.ok(fits(of({ [least]: 3 }), of({ [least]: 2 })), least)
    t.notOk(fits(of({ [least]: 1 }), of({ [least]: 2 })), least)
    t.ok(fits(of({}), of({ [least]: 0 })), `${least} 0 says nothing`)
    t.notOk(fits(of({}), of({ [least]: 1 })), least)
    t.ok(fits(of({ [most]: 2, [least]: 1 }), of({ [most]: 2 })), most)
    t.ok(fits(of({ [most]: 1 }), of({ [most]: 2 })), most)
    t.notOk(fits(of({ [most]: 3 }), of({ [most]: 2 })), most)
    t.notOk(fits(of({}), of({ [most]: 2 })), most)
  }
  const list = (limits: Schema) => ({ type: 'array', ...limits })
  t.ok(fits(list({ uniqueItems: true }), list({ uniqueItems: true, minItems: 0 })))
  t.ok(fits(list({}), list({ uniqueItems: false })))
  t.notOk(fits(list({ uniqueItems: false }), list({ uniqueItems: true })))
  const text = (limits: Schema) => ({ type: 'string', ...limits })
  for (const keyword of ['pattern', 'format']) {
    t.ok(fits(text({ [keyword]: 'a', minLength: 1 }), text({ [keyword]: 'a' })), keyword)
    t.notOk(fits(text({ [keyword]: 'b' }), text({ [keyword]: 'a' })), keyword)
  }
})

t.test('each bound says why it refuses', async (t) => {
  const whys: [Schema, Schema, string][] = [
    [number({}), number({ minimum: 0 }), 'smaller ones come'],
    [number({}), number({ exclusiveMinimum: 0 }), 'smaller ones come'],
    [number({}), number({ maximum: 0 }), 'larger ones come'],
    [number({}), number({ exclusiveMaximum: 0 }), 'larger ones come'],
    [number({}), number({ multipleOf: 2 }), 'others than multiples come'],
    [{ type: 'string' }, { type: 'string', minLength: 1 }, 'shorter ones come'],
    [{ type: 'string' }, { type: 'string', maxLength: 1 }, 'longer ones come'],
    [{ type: 'string' }, { type: 'string', pattern: 'a' }, 'another pattern lets others through'],
    [{ type: 'string' }, { type: 'string', format: 'date' }, 'another format lets others through'],
    [{ type: 'string' }, { type: 'string', contentEncoding: 'x' }, 'it cannot be compared'],
    [{ type: 'object' }, { type: 'object', minProperties: 1 }, 'fewer members come'],
    [{ type: 'object' }, { type: 'object', maxProperties: 1 }, 'more members come'],
    [{ type: 'array' }, { type: 'array', minItems: 1 }, 'fewer items come'],
    [{ type: 'array' }, { type: 'array', maxItems: 1 }, 'more items come'],
    [{ type: 'array' }, { type: 'array', uniqueItems: true }, 'the same may come twice'],
    [{ type: 'string' }, { type: 'null' }, 'string is not taken'],
    [{ enum: ['a', 'b', 'c'] }, { enum: ['b'] }, '"a", "c" is not taken'],
    [{ type: 'object' }, { type: 'object', required: ['a'], properties: { a: {} } }, 'it may be missing'],
    [
      { type: 'object', properties: { a: {} } },
      { type: 'object', additionalProperties: false },
      'it is not taken; unknown members are refused'
    ],
    [{ type: 'object', properties: { a: {} } }, { type: 'object' }, 'it is not read any more'],
    [{ type: 'object' }, { type: 'object', additionalProperties: { type: 'null' } }, 'any value may be there'],
    [
      { type: 'object', patternProperties: { '^x': {} }, additionalProperties: false },
      { type: 'object', additionalProperties: false },
      'these names are not taken'
    ],
    [
      { type: 'object' },
      { type: 'object', patternProperties: { '^x': { type: 'null' } } },
      'names that fit ^x may be anything'
    ]
  ]
  for (const [given, taken, why] of whys)
    t.equal(
      refusals(given, taken, 'given')
        .map((one) => one.why)
        .join('; '),
      why
    )
  t.match(refusals({ type: 'object' }, { type: 'object', properties: { a: { type: 'null' } } }, 'taken'), [
    { path: 'a', given: 'nothing', taken: 'null', why: 'readers of the released one miss it' }
  ])
})

t.test('maps with patterns', async (t) => {
  const map = (pattern: string, schema: Schema, rest: unknown = false) => ({
    type: 'object',
    patternProperties: { [pattern]: schema },
    additionalProperties: rest
  })
  const [integer, real] = [{ type: 'integer' }, { type: 'number' }]
  t.ok(fits(map('^a', integer), map('^a', real)))
  t.notOk(fits(map('^a', real), map('^a', integer)))
  t.ok(fits(map('^a', integer), { type: 'object', additionalProperties: real }), 'its values go where all names go')
  t.notOk(fits(map('^a', real), { type: 'object', additionalProperties: integer }))
  t.ok(fits(map('^a', integer), { type: 'object' }))
  t.notOk(fits(map('^a', integer, true), map('^a', integer, false)), 'open to closed')
  t.notOk(fits(map('^a', integer, true), map('^b', integer, true)), 'other names')
  const named = (schema: Schema) => ({ type: 'object', properties: { ab: schema }, additionalProperties: false })
  t.ok(fits(named(integer), map('^a', real)), 'a declared member goes where its name fits')
  t.notOk(fits(named(real), map('^a', integer)))
  t.notOk(fits(named(integer), map('^b', integer)), 'its name fits none')
  t.notOk(fits(map('^a', real), { ...named(integer) }), 'and the other way round')
  t.ok(fits({ type: 'object', properties: {} }, map('^a', integer, true)), 'who names its members has no others')
  t.ok(fits({ type: 'object', additionalProperties: true }, { type: 'object', additionalProperties: true, title: 'x' }))
})

t.test('tuples and lists of anything', async (t) => {
  t.ok(fits({ type: 'array', items: { type: 'null' } }, { type: 'array' }))
  t.notOk(fits({ type: 'array' }, { type: 'array', items: { type: 'null' } }))
  t.same(
    refusals({ type: 'array', items: [{}] }, { type: 'array', items: [{ type: 'null' }] }, 'given')[0]?.why,
    'it cannot be compared'
  )
  t.notOk(fits({ type: 'array' }, { type: 'array', items: false }), 'only the empty list')
  t.ok(fits(false, false))
  t.ok(fits({ type: 'null' }, true))
  t.notOk(fits(true, { type: 'null' }))
})

t.test('the least that is made of a schema keeps to its bounds', async (t) => {
  const made = (schema: Schema) => [exampleOf(schema, 'full'), exampleOf(schema, 'least')]
  t.same(made({ type: 'integer' }), [1, 1])
  t.same(made({ type: 'integer', minimum: 7 }), [7, 7])
  t.same(made({ type: 'integer', exclusiveMinimum: 7 }), [8, 8])
  t.same(made({ type: 'integer', maximum: 0 }), [0, 0])
  t.same(made({ type: 'integer', maximum: 5 }), [1, 1])
  t.same(made({ type: 'boolean' }), [true, false])
  t.same(made({ type: 'string' }), ['text', 'text'])
  t.same(made({ type: 'string', minLength: 6 }), ['textte', 'textte'])
  t.same(made({ type: 'string', maxLength: 2 }), ['te', 'te'])
  t.same(made({ type: ['string', 'null'] }), ['text', 'text'])
  t.same(made({ type: 'array', items: { type: 'integer' } }), [[1], []])
  t.same(made({ type: 'array', items: { type: 'integer' }, minItems: 2 }), [
    [1, 1],
    [1, 1]
  ])
  t.same(made({ type: 'array', items: { type: 'integer' }, maxItems: 0 }), [[], []])
  t.same(made({ const: 'x' }), ['x', 'x'])
  t.same(made({ enum: ['b', 'a'] }), ['b', 'b'])
  t.same(made({ type: 'string', default: 'd', examples: [] }), ['d', 'd'])
  t.same(made({ type: 'string', default: 'd', examples: ['e'] }), ['e', 'e'])
  t.same(made({ anyOf: [{ type: 'null' }, { type: 'integer' }] }), [1, null])
  t.same(made({ anyOf: [{ type: 'boolean' }, { type: 'integer' }] }), [true, false])
  t.same(made({ anyOf: [{ type: 'null' }] }), [null, null])
  t.same(made({}), [null, null])
  const lists = { type: 'object', properties: { names: { type: 'array', items: { type: 'string' }, minItems: 1 } } }
  t.same(exampleOf(lists, 'full'), { names: ['names'] }, 'a text is named for its member')
  const deep = { type: 'object', properties: { a: { type: 'object', properties: { b: { type: 'string' } } } } }
  t.same(exampleOf(deep, 'full'), { a: { b: 'b' } })
  t.same(exampleOf(deep, 'least'), {})
  const some = { type: 'object', properties: { a: {}, b: {}, c: {} }, required: ['b'], minProperties: 2 }
  t.same(exampleOf(some, 'least'), { a: null, b: null })
  t.same(Object.keys(exampleOf({ ...some, minProperties: 3 }, 'least') as object), ['a', 'b', 'c'])
})

t.test('what a module declares, by name and by form', async (t) => {
  const event = (subject: string, version: number) => ({ subject, version, entity: () => '' })
  const route = { method: 'GET', path: '/x' }
  const { events, routes } = declaredIn({
    b: event('b.b.b', 1),
    a: event('a.a.a', 1),
    noSubject: { ...event('c.c.c', 1), subject: 1 },
    noVersion: { ...event('c.c.c', 1), version: '1' },
    noEntity: { ...event('c.c.c', 1), entity: '' },
    text: 'x',
    zRoutes: { one: route },
    aRoutes: { one: route, two: route },
    emptyRoutes: {},
    oddRoutes: { one: route, two: { method: 'GET' } },
    otherRoutes: { one: { path: '/x' } },
    nullRoutes: { one: null },
    noRoutes: null,
    textRoutes: 'x',
    routesOf: { one: route }
  })
  t.same([...events.keys()], ['a.a.a.v1', 'b.b.b.v1'])
  t.same([...routes.keys()], ['a', 'z'])
  t.equal(routes.get('a')?.length, 2)
})

t.test('an intersection of objects is one object, when its parts do not overlap', async (t) => {
  const part = (name: string, type = 'string') => ({
    type: 'object',
    properties: { [name]: { type } },
    required: [name]
  })
  const both = { type: 'object', properties: { a: { type: 'string' }, b: { type: 'string' } }, required: ['a', 'b'] }
  t.ok(fits({ allOf: [part('a'), part('b')] }, both))
  t.ok(fits(both, { allOf: [part('a'), part('b')] }))
  t.notOk(fits({ allOf: [part('a'), part('b', 'integer')] }, both))
  t.notOk(fits({ allOf: [part('a'), part('a')] }, part('a')), 'what overlaps is not compared')
  t.notOk(fits({ allOf: [part('a'), { ...part('b'), minProperties: 1 }] }, both))
  t.ok(fits({ allOf: [{ type: 'object' }, part('a')] }, part('a')))
  t.notOk(fits({ allOf: [part('a')], minProperties: 1 }, part('a')))
  t.notOk(fits({ anyOf: [part('a')], minProperties: 1 }, part('a')))
  t.notOk(fits(Type.Unsafe({ const: 1, minimum: 0 }), { type: 'integer' }), 'nor is a value with a bound')
  t.ok(fits({ const: 1, type: 'integer' }, { type: 'integer' }))
  t.ok(fits({ enum: [1, 2], type: 'integer' }, { type: 'integer' }))
})
