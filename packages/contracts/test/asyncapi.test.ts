import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { Ajv } from 'ajv'
import addFormats from 'ajv-formats'
import t from 'tap'
import Type from 'typebox'
import { Compile } from 'typebox/compile'
import { asyncApiOf, describeEvent, eventSchemaOf } from '../src/asyncapi/index.ts'
import { declaredIn } from '../src/compat/index.ts'
import * as contracts from '../src/index.ts'

const events = [...declaredIn(contracts).events.values()].map(describeEvent)
const INFO = { title: 'All', version: 'v1' }
const schema = createRequire(import.meta.url).resolve('@asyncapi/specs/schemas/3.0.0.json')
const ajv = new Ajv({ strict: false, meta: false, validateSchema: false })
addFormats.default(ajv)
const isAsyncApi = ajv.compile(JSON.parse(readFileSync(schema, 'utf8')))

t.test('the document of all events is AsyncAPI 3, and each of its references is there', async (t) => {
  const document = JSON.parse(JSON.stringify(asyncApiOf({ ...INFO, description: 'x', events })))
  t.ok(isAsyncApi(document), JSON.stringify(isAsyncApi.errors))
  t.same(Object.keys(document.channels), Object.keys(document.channels).sort())
  t.equal(Object.keys(document.channels).length, events.length)
  const refs = [...JSON.stringify(document).matchAll(/"\$ref":"#\/([^"]+)"/g)].map(([, path = '']) => path)
  t.ok(refs.length >= events.length * 4)
  for (const path of refs) t.ok(path.split('/').reduce((at, part) => at?.[part], document) !== undefined, path)
  t.notOk(isAsyncApi({ ...document, channels: { x: { messages: 1 } } }), 'and not everything is')
})

t.test('the same events are the same text, in whatever order they come', async (t) => {
  t.equal(
    JSON.stringify(asyncApiOf({ ...INFO, events: events.toReversed() })),
    JSON.stringify(asyncApiOf({ ...INFO, events }))
  )
  t.throws(() => asyncApiOf({ ...INFO, events: [events[0]!, events[0]!] }), /is described twice/)
})

t.test('each event says what it is, where it is and what its data is', async (t) => {
  const document = asyncApiOf({ ...INFO, events })
  const subject = 'content.post.created.v1'
  t.match(document, {
    asyncapi: '3.0.0',
    channels: {
      [subject]: { address: `${subject}.{partition}`, tags: [{ name: 'content' }], messages: { event: {} } }
    },
    operations: { [`send.${subject}`]: { action: 'send', channel: { $ref: `#/channels/${subject}` } } },
    components: {
      messages: {
        [subject]: { payload: { properties: { postId: {} } }, examples: [{ payload: { title: 'The ferry to Utö' } }] }
      },
      messageTraits: {
        cloudEvent: {
          headers: {
            required: ['ce-specversion', 'ce-id', 'ce-type', 'ce-source', 'ce-time', 'ce-subject'],
            properties: { 'ce-partitionkey': { type: 'string' } }
          }
        }
      }
    }
  })
})

t.test('the schema of an event stands by itself', async (t) => {
  for (const event of events) {
    const own = eventSchemaOf(event)
    t.match(own, { $schema: 'https://json-schema.org/draft/2020-12/schema', $id: `urn:skerry:event:${event.subject}` })
    t.notMatch(JSON.stringify(own), /\$ref/)
    t.ok(Compile(own).Check(event.examples[0]), event.subject)
    t.notOk(Compile(own).Check({}), `${event.subject} takes not everything`)
  }
})

t.test('an event whose values cannot be made up is shown without an example', async (t) => {
  const odd = contracts.defineEvent({
    ...{ subject: 'ships.ship.sailed', version: 3, summary: 'Sailed.', entity: () => 'x' },
    data: Type.Object({ odd: Type.String({ pattern: '^[0-9]{4}$' }) })
  })
  const described = describeEvent(odd)
  t.match(described, { subject: 'ships.ship.sailed.v3', owner: 'ships', examples: [] })
  t.notOk('examples' in eventSchemaOf(described))
  const document = JSON.parse(JSON.stringify(asyncApiOf({ ...INFO, events: [described] })))
  t.ok(isAsyncApi(document), JSON.stringify(isAsyncApi.errors))
})
