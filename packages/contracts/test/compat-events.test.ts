import t from 'tap'
import Type, { type TSchema } from 'typebox'
import { declaredIn, eventChanges, newEvent, type ReleasedEvent, releaseEvent } from '../src/compat/index.ts'
import { defineEvent, type EventContract, IdSchema, Nullable, OpenEnum } from '../src/index.ts'

const members: Record<string, TSchema> = {
  id: IdSchema,
  text: Type.String({ maxLength: 100 }),
  note: Type.Optional(Type.String()),
  title: Nullable(Type.String()),
  tags: Type.Array(Type.String()),
  kind: Type.Enum(['a', 'b']),
  state: OpenEnum(['new'])
}
const eventOf = (change: Record<string, TSchema | undefined> = {}, options = {}): EventContract => {
  const changed = Object.entries({ ...members, ...change }).filter(
    (one): one is [string, TSchema] => one[1] !== undefined
  )
  const data = Type.Object(Object.fromEntries(changed), options)
  return defineEvent({
    subject: 'ships.ship.sailed',
    version: 1,
    summary: 'A ship.',
    entity: (d) => (d as { id: string }).id,
    data
  })
}
/** As it comes out of its file. */
const golden = (event: EventContract, before?: ReleasedEvent): ReleasedEvent =>
  JSON.parse(JSON.stringify(releaseEvent(event, before)))
const released = golden(eventOf())
const told = (event: EventContract | undefined, before = released) =>
  eventChanges(before, event).map(({ kind, path, before, after }) => `${kind} ${path}: ${before} → ${after}`)

t.test('a contract that has not changed has no changes, and its examples stay', async (t) => {
  t.same(told(eventOf()), [])
  t.same(golden(eventOf(), released), released)
  t.match(released, {
    subject: 'ships.ship.sailed',
    version: 1,
    examples: [{ data: { note: 'note' } }, { data: { title: null } }]
  })
  for (const { entity, data } of released.examples) t.equal(entity, (data as { id: string }).id)
})

const ADDITIVE: [string, EventContract, string[]][] = [
  [
    'a new optional member',
    eventOf({ more: Type.Optional(Type.Integer()) }),
    ['additive data.properties.more: nothing → {"type":"integer"}']
  ],
  [
    'a value of an open enum',
    eventOf({ state: OpenEnum(['new', 'old']) }),
    ['description', 'examples', 'x-open-enum'].map((one) => `additive data.properties.state.${one}:`)
  ],
  [
    'documentation',
    eventOf({ text: Type.String({ maxLength: 100, description: 'What.' }) }),
    ['additive data.properties.text.description: nothing → "What."']
  ]
]
t.test('what nobody has to know of is additive', async (t) => {
  for (const [name, event, said] of ADDITIVE) {
    const lines = told(event)
    t.equal(lines.length, said.length, name)
    for (const [at, line] of said.entries()) t.ok(lines[at]?.startsWith(line), `${name}: ${lines[at]}`)
  }
})

const BREAKING: [string, EventContract | undefined, string[]][] = [
  ['an event that is gone', undefined, ['breaking : released → gone']],
  ['a member that is gone', eventOf({ text: undefined }), ['breaking data.text: string → nothing']],
  ['an optional member that is gone', eventOf({ note: undefined }), ['breaking data.note: string → nothing']],
  ['a new required member', eventOf({ more: Type.Integer() }), ['breaking data.more: nothing → required']],
  [
    'optional, now required: old payloads',
    eventOf({ note: Type.String() }),
    ['breaking data.note: optional → required']
  ],
  [
    'required, now optional: old consumers',
    eventOf({ text: Type.Optional(Type.String({ maxLength: 100 })) }),
    ['breaking data.text: required → optional']
  ],
  [
    'null where there was none: old consumers',
    eventOf({ text: Nullable(Type.String({ maxLength: 100 })) }),
    ['breaking data.text: string → null']
  ],
  ['no null any more: old payloads', eventOf({ title: Type.String() }), ['breaking data.title: null → string']],
  [
    'a lower bound: old payloads',
    eventOf({ text: Type.String({ maxLength: 50 }) }),
    ['breaking data.text: maxLength 100 → maxLength 50']
  ],
  [
    'a higher bound: old consumers',
    eventOf({ text: Type.String({ maxLength: 200 }) }),
    ['breaking data.text: maxLength 100 → maxLength 200']
  ],
  [
    'no bound any more: old consumers',
    eventOf({ text: Type.String() }),
    ['breaking data.text: maxLength 100 → no maxLength']
  ],
  ['another type', eventOf({ tags: Type.String() }), ['breaking data.tags: array → string']],
  ['another type of items', eventOf({ tags: Type.Array(Type.Integer()) }), ['breaking data.tags[]: string → integer']],
  [
    'a value more of a closed enum: old consumers',
    eventOf({ kind: Type.Enum(['a', 'b', 'c']) }),
    ['breaking data.kind: one of "a", "b" → one of "a", "b", "c"']
  ],
  [
    'a value less of a closed enum: old payloads',
    eventOf({ kind: Type.Enum(['a']) }),
    ['breaking data.kind: one of "a", "b" → "a"']
  ],
  [
    'closed: a member more would break it',
    eventOf({}, { additionalProperties: false }),
    ['breaking data.{}: open → closed']
  ]
]
t.test('what a payload in a stream or a consumer cannot bear is breaking', async (t) => {
  for (const [name, event, said] of BREAKING) t.same(told(event), said, name)
})

t.test('a strict consumer refuses a member more', async (t) => {
  const strict = golden(eventOf({}, { additionalProperties: false }))
  t.same(told(eventOf({ more: Type.Optional(Type.Integer()) }, { additionalProperties: false }), strict), [
    'breaking data.more: nothing → integer'
  ])
})

t.test('which side breaks is said', async (t) => {
  t.match(eventChanges(released, eventOf({ note: Type.String() })), [
    { contract: 'ships.ship.sailed.v1', why: /^payloads in streams/ }
  ])
  t.match(eventChanges(released, eventOf({ text: Type.String() })), [{ why: /^consumers of the released one/ }])
})

t.test('payloads that were released have to fit, also those that somebody added by hand', async (t) => {
  const data = { ...(released.examples[0]?.data as object), text: 'x'.repeat(101) }
  const before = {
    ...released,
    examples: [...released.examples, { entity: (data as never as { id: string }).id, data }]
  }
  t.same(told(eventOf(), before), ['breaking examples[2]: fits → does not fit'])
})

t.test('what an event is about does not change', async (t) => {
  const other = { ...eventOf(), entity: (d: unknown) => `ship:${(d as { id: string }).id}` }
  const [first] = released.examples
  t.same(told(other).slice(0, 1), [`breaking examples[0] entity: ${first?.entity} → ship:${first?.entity}`])
  const failing: EventContract = {
    ...eventOf(),
    entity() {
      throw new Error('no')
    }
  }
  t.match(told(failing)[0], /→ none \(no\)$/)
})

t.test('in whose order an event is does not change, once that was released', async (t) => {
  const other = { ...eventOf(), orderedBy: (d: unknown) => `owner:${(d as { id: string }).id}` }
  const [first] = released.examples
  t.equal(first?.orderKey, first?.entity, 'by default it is the entity')
  t.same(told(other).slice(0, 1), [`breaking examples[0] orderedBy: ${first?.orderKey} → owner:${first?.orderKey}`])
  const before = { ...released, examples: released.examples.map(({ entity, data }) => ({ entity, data })) }
  t.same(told(other, before), [], 'released before there were order keys')
  t.same(
    golden(other, before).examples.map(({ orderKey }) => orderKey),
    released.examples.map(({ orderKey }) => `owner:${orderKey}`),
    'and from the next release on it stays'
  )
})

t.test('a release keeps the oldest examples', async (t) => {
  let last = released
  for (let i = 0; i < 20; i++) last = golden(eventOf({ [`more${i}`]: Type.Optional(Type.Integer()) }), last)
  t.equal(last.examples.length, 12)
  t.same(last.examples.slice(0, 2), released.examples)
})

t.test('another version is another contract', async (t) => {
  const two = { ...eventOf({ text: undefined }), version: 2 }
  t.match(newEvent(two), { kind: 'new', contract: 'ships.ship.sailed.v2' })
  const declared = declaredIn({ One: eventOf(), Two: two, shipsRoutes: {}, other: 1, none: null })
  t.same([...declared.events.keys()], ['ships.ship.sailed.v1', 'ships.ship.sailed.v2'])
  t.same(declared.routes.size, 0)
  t.throws(() => declaredIn({ One: eventOf(), Two: eventOf() }), /ships\.ship\.sailed\.v1 is declared twice/)
})
