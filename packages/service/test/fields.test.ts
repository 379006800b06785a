import type { SkerryError } from '@skerry/contracts'
import t from 'tap'
import Type from 'typebox'
import { pickerOf, pickerOfFields } from '../src/fields.ts'
import { WidgetSchema, widget } from './support/server.ts'

const Page = Type.Object({ items: Type.Array(WidgetSchema), nextCursor: Type.Union([Type.String(), Type.Null()]) })

t.test('takes only what the contract declares, at every level', async (t) => {
  const leaky = { ...widget, passwordHash: 'x', owner: { ...widget.owner, email: 'ada@example.org' } }
  t.same(pickerOf(WidgetSchema)(leaky), widget)
  t.same(pickerOf(Page)({ items: [leaky, leaky], nextCursor: null, total: 2 }), {
    items: [widget, widget],
    nextCursor: null
  })
})

t.test('leaves out optional members that are absent, keeps null, arrays and records', async (t) => {
  const Schema = Type.Object({
    a: Type.Optional(Type.String()),
    b: Type.Union([Type.Object({ c: Type.Integer() }), Type.Null()]),
    d: Type.Record(Type.String(), Type.Unknown())
  })
  const pick = pickerOf(Schema)
  t.equal(JSON.stringify(pick({ b: null, d: { x: [1] } })), '{"b":null,"d":{"x":[1]}}')
  t.same(pick({ a: 'a', b: { c: 1, e: 2 }, d: {} }), { a: 'a', b: { c: 1 }, d: {} })
})

t.test('fields selects members and members of members', async (t) => {
  t.same(pickerOfFields(WidgetSchema, 'id,owner.username')(widget), { id: 'w1', owner: { username: 'ada' } })
  t.same(pickerOfFields(WidgetSchema, 'owner,owner.id')(widget), { owner: widget.owner }, 'the whole wins')
  t.same(pickerOfFields(WidgetSchema, 'owner.id,owner')(widget), { owner: widget.owner })
  t.same(pickerOfFields(WidgetSchema, 'tags,note')(widget), { tags: ['a', 'b'], note: null })
})

t.test('fields of a page are those of its items', async (t) => {
  t.same(pickerOfFields(Page, 'id')({ items: [widget], nextCursor: 'c' }), { items: [{ id: 'w1' }], nextCursor: 'c' })
})

t.test('names what is not a field', async (t) => {
  for (const fields of [
    'secret',
    'owner.secret',
    'id.x',
    'tags.length',
    'constructor',
    '__proto__',
    'owner.toString'
  ]) {
    try {
      pickerOfFields(WidgetSchema, `id,${fields}`)
      t.fail(`accepted ${fields}`)
    } catch (error) {
      t.match((error as SkerryError).errors, [
        { path: 'query.fields', code: 'unknown', message: `${fields} is not a field` }
      ])
    }
  }
})
