import t from 'tap'
import Type from 'typebox'
import { Compile } from 'typebox/compile'
import { exampleOf } from '../src/compat/index.ts'
import { IdSchema, Nullable, TimeSchema } from '../src/index.ts'

const schema = Type.Object({
  postId: IdSchema,
  authorId: IdSchema,
  at: TimeSchema,
  title: Nullable(Type.String({ minLength: 8, maxLength: 9 })),
  kind: Type.Enum(['a', 'b']),
  count: Type.Integer({ minimum: 3 }),
  above: Type.Number({ exclusiveMinimum: 0, maximum: 0.5 }),
  tags: Type.Array(Type.String(), { minItems: 2 }),
  list: Type.Array(Type.Object({ x: Type.Literal(7) })),
  more: Type.Optional(Type.Intersect([Type.Object({ a: Type.Boolean() }), Type.Object({ b: Type.Null() })])),
  limit: Type.Optional(Type.Integer({ default: 20 }))
})

t.test('an example has all, or the least, and is the same each time', async (t) => {
  const [full, least] = [exampleOf(schema, 'full'), exampleOf(schema, 'least')] as Record<string, unknown>[]
  t.match(full, { kind: 'a', count: 3, above: 0.5, list: [{ x: 7 }], more: { a: true, b: null }, limit: 20 })
  t.equal(String(full?.title).length, 8)
  t.match(least, { title: null, list: [], tags: ['tags', 'tags'] })
  t.notOk('more' in least! || 'limit' in least!)
  t.not(full?.postId, full?.authorId, 'ids of different members differ')
  t.equal(full?.postId, least?.postId)
  t.same(exampleOf(schema, 'full'), full)
  t.ok(Compile(schema).Check(full) && Compile(schema).Check(least))
})

t.test('as many members as there must be', async (t) => {
  const some = Type.Object({ a: Type.Optional(Type.String()), b: Type.Optional(Type.String()) }, { minProperties: 1 })
  t.same(exampleOf(some, 'least'), { a: 'a' })
})

t.test('what cannot be made up has to be said', async (t) => {
  const odd = Type.Object({ odd: Type.String({ pattern: '^[0-9]{4}$' }) })
  t.throws(() => exampleOf(odd, 'full'), { message: /^no example can be made: \/odd must match pattern.*`examples`$/ })
  const said = Type.Object({ odd: Type.String({ pattern: '^[0-9]{4}$', examples: ['1234'] }) })
  t.same(exampleOf(said, 'full'), { odd: '1234' })
})
