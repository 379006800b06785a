import t from 'tap'
import Type, { type TSchema } from 'typebox'
import { refusals } from '../src/compat/index.ts'

const plain = (schema: TSchema | boolean) => JSON.parse(JSON.stringify(schema))
/** What readers by `taken` refuse of writers by `given`, as `path: given → taken`. */
const refused = (given: TSchema, taken: TSchema, released: 'given' | 'taken' = 'given') =>
  refusals(plain(given), plain(taken), released).map((one) => `${one.path}: ${one.given} → ${one.taken}`)
const string = Type.String()
const object = (properties: Record<string, TSchema>, options = {}) => Type.Object(properties, options)
const closed = { additionalProperties: false }

/** Wider, narrower, and what is said of the wider one given to who takes the narrower. The other way round nothing is refused. */
const NARROWER: [string, TSchema, TSchema, string[]][] = [
  ['minLength', string, Type.String({ minLength: 2 }), [': no minLength → minLength 2']],
  ['a higher minLength', Type.String({ minLength: 1 }), Type.String({ minLength: 2 }), [': minLength 1 → minLength 2']],
  ['maxLength', string, Type.String({ maxLength: 9 }), [': no maxLength → maxLength 9']],
  [
    'a lower maxLength',
    Type.String({ maxLength: 10 }),
    Type.String({ maxLength: 9 }),
    [': maxLength 10 → maxLength 9']
  ],
  ['pattern', string, Type.String({ pattern: '^a' }), [': no pattern → pattern "^a"']],
  ['format', string, Type.String({ format: 'date' }), [': no format → format "date"']],
  ['minimum', Type.Number(), Type.Number({ minimum: 0 }), [': no minimum → minimum 0']],
  ['a higher minimum', Type.Number({ minimum: -1 }), Type.Number({ minimum: 0 }), [': minimum -1 → minimum 0']],
  [
    'exclusiveMinimum',
    Type.Number({ minimum: 0 }),
    Type.Number({ exclusiveMinimum: 0 }),
    [': no exclusiveMinimum → exclusiveMinimum 0']
  ],
  ['maximum', Type.Integer(), Type.Integer({ maximum: 5 }), [': no maximum → maximum 5']],
  [
    'exclusiveMaximum',
    Type.Integer({ maximum: 5 }),
    Type.Integer({ exclusiveMaximum: 5 }),
    [': no exclusiveMaximum → exclusiveMaximum 5']
  ],
  ['multipleOf', Type.Integer(), Type.Integer({ multipleOf: 5 }), [': no multipleOf → multipleOf 5']],
  [
    'another multipleOf',
    Type.Integer({ multipleOf: 5 }),
    Type.Integer({ multipleOf: 10 }),
    [': multipleOf 5 → multipleOf 10']
  ],
  ['number to integer', Type.Number(), Type.Integer(), [': number → integer']],
  ['any to string', Type.Unknown(), string, [': anything → string']],
  ['null out of a union', Type.Union([string, Type.Null()]), string, [': null → string']],
  ['a value out of an enum', Type.Enum(['a', 'b']), Type.Enum(['a']), [': one of "a", "b" → "a"']],
  ['string to an enum', string, Type.Enum(['a']), [': string → "a"']],
  ['a literal out of a union', Type.Union([Type.Literal('a'), Type.Literal('b')]), Type.Literal('a'), [': "b" → "a"']],
  ['items', Type.Array(string), Type.Array(Type.String({ minLength: 1 })), ['[]: no minLength → minLength 1']],
  ['minItems', Type.Array(string), Type.Array(string, { minItems: 1 }), [': no minItems → minItems 1']],
  ['maxItems', Type.Array(string, { maxItems: 3 }), Type.Array(string, { maxItems: 2 }), [': maxItems 3 → maxItems 2']],
  [
    'uniqueItems',
    Type.Array(string),
    Type.Array(string, { uniqueItems: true }),
    [': no uniqueItems → uniqueItems true']
  ],
  ['required', object({ a: Type.Optional(string) }), object({ a: string }), ['a: optional → required']],
  [
    'a nested member',
    object({ a: object({ b: Type.Number() }) }),
    object({ a: object({ b: Type.Integer() }) }),
    ['a.b: number → integer']
  ],
  [
    'an item’s member',
    Type.Array(object({ a: string })),
    Type.Array(object({ a: Type.Enum(['x']) })),
    ['[].a: string → "x"']
  ],
  [
    'within a nullable',
    Type.Union([object({ a: Type.Number() }), Type.Null()]),
    Type.Union([object({ a: Type.Integer() }), Type.Null()]),
    ['a: number → integer']
  ],
  ['open to closed', object({ a: string }), object({ a: string }, closed), ['{}: open → closed']],
  [
    'values of a map',
    Type.Record(string, Type.Number()),
    Type.Record(string, Type.Integer()),
    ['{}: number → integer']
  ],
  ['maxProperties', object({}), object({}, { maxProperties: 3 }), [': no maxProperties → maxProperties 3']],
  ['minProperties', object({}), object({}, { minProperties: 1 }), [': no minProperties → minProperties 1']]
]

t.test('what is narrower is refused one way and taken the other', async (t) => {
  for (const [name, wider, narrower, said] of NARROWER) {
    t.same(refused(wider, narrower), said, name)
    t.same(refused(narrower, wider), [], `${name}, the other way round`)
    t.same(refused(wider, wider), [], `${name}, not changed`)
  }
})

t.test('what has nothing in common is refused both ways', async (t) => {
  const pairs: [string, TSchema, TSchema][] = [
    ['types', string, Type.Integer()],
    ['an object and a list of it', object({}), Type.Array(object({}))],
    ['patterns', Type.String({ pattern: '^a' }), Type.String({ pattern: '^b' })],
    ['formats', Type.String({ format: 'date' }), Type.String({ format: 'time' })],
    ['tuples', Type.Tuple([string]), Type.Tuple([string, string])],
    [
      'keywords that nothing is known of',
      Type.Unsafe({ type: 'string', contentEncoding: 'base64' }),
      Type.Unsafe({ type: 'string', contentEncoding: 'base32' })
    ],
    [
      'schemas that are not of one type',
      Type.Unsafe({ not: { type: 'string' } }),
      Type.Unsafe({ not: { type: 'null' } })
    ]
  ]
  for (const [name, a, b] of pairs) {
    t.not(refused(a, b).length, 0, name)
    t.not(refused(b, a).length, 0, `${name}, the other way round`)
  }
})

t.test('members that come and go', async (t) => {
  const [one, two] = [object({ a: string }), object({ a: string, b: Type.Optional(string) })]
  t.same(refused(one, two, 'given'), [], 'a new optional member: old values are taken')
  t.same(refused(two, one, 'taken'), [], '… and new ones by who does not know it')
  t.same(refused(one, object({ a: string, b: string }), 'given'), ['b: nothing → required'], 'a new required one')
  t.same(refused(two, one, 'given'), ['b: string → nothing'], 'one that is not read any more')
  t.same(refused(one, two, 'taken'), ['b: nothing → string'], 'one that is not written any more, though optional')
  const shut = (schema: TSchema) => ({ ...schema, ...closed })
  t.same(refused(shut(two), shut(one)), ['b: string → nothing'], 'a closed reader refuses what it does not know')
  t.same(refused(Type.Record(string, string), object({ a: Type.Integer() })), [
    'a: nothing → required',
    'a: string → integer'
  ])
  t.same(refused(object({ a: string }), Type.Record(string, Type.Integer())), ['a: string → integer'])
  t.same(refused(Type.Unsafe({ type: 'object' }), Type.Record(string, Type.Integer())), ['{}: anything → integer'])
  t.same(refused(object({}), object({}, { additionalProperties: string })), ['{}: anything → string'])
  const numbers = { additionalProperties: Type.Number() }
  t.same(refused(object({}, numbers), object({}, { additionalProperties: Type.Integer() })), ['{}: number → integer'])
})

t.test('alternatives fit into any of the taker’s, whatever their order', async (t) => {
  const [a, b] = [object({ kind: Type.Literal('a'), x: Type.Integer() }), object({ kind: Type.Literal('b') })]
  t.same(refused(Type.Union([a, b]), Type.Union([b, a])), [])
  t.same(refused(a, Type.Union([a, b])), [])
  const c = object({ kind: Type.Literal('c') })
  t.same(refused(Type.Union([a, c]), Type.Union([a, b])), ['kind: "c" → "b"'], 'told of the nearest')
  t.same(refused(Type.Unsafe({ enum: ['a', 1, null] }), Type.Union([string, Type.Number()])), [
    ': one of "a", 1, null → string or number'
  ])
  t.same(refused(Type.Unsafe({ type: ['string', 'null'] }), Type.Union([Type.Null(), string])), [])
  t.same(refused(Type.Intersect([object({ a: string }), object({ b: string })]), object({ b: string, a: string })), [])
})

t.test('what only speaks to people changes nothing', async (t) => {
  const told = { title: 'T', description: 'd', examples: ['x'], deprecated: true, 'x-open-enum': ['x'] }
  t.same(refused(string, Type.String(told)), [])
  t.same(refused(Type.String(told), string), [])
  t.same(
    refused(object({ title: string }), object({ title: Type.Integer() })),
    ['title: string → integer'],
    'but as a member'
  )
})
