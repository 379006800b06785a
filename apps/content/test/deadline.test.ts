import { bucketOf, collectionOf } from '@skerry/store'
import t from 'tap'
import { authors } from '../src/data/authors.ts'
import { eventually, startContent } from './support/system.ts'

const content = await startContent(t, { events: false })
const { client, db } = content.store

/** What mongod does for the database of this test. */
async function running() {
  const mine = { ns: { $regex: `^${db.databaseName}\\.` }, active: true }
  const { inprog } = await client.db('admin').command({ currentOp: 1, ...mine })
  return inprog as unknown[]
}

t.test('a write that hangs is answered at its deadline, ends in mongod and gives its key back', async (t) => {
  const ada = content.person('ada')
  // Somebody who writes the same and does not end: what comes after waits within mongod.
  const session = client.startSession()
  t.teardown(() => session.endSession())
  session.startTransaction()
  const name = { username: 'ada', displayName: 'Ada', avatar: null, version: -1 }
  await collectionOf(db, authors).insertOne({ _id: ada.id, bucket: bucketOf(ada.id), ...name }, { session })

  const post = (headers = {}) =>
    ada.send<{ code?: string; text?: string }>('POST', '/v1/posts', {
      headers: { 'idempotency-key': 'key', ...headers },
      body: { text: 'late' }
    })
  const late = await post({ 'x-skerry-deadline': '150' })
  t.equal(late.status, 503)
  t.match(late.headers, { 'retry-after': '1', 'x-skerry-deadline': 'passed' })
  await eventually('mongod has nothing to do any more', async () => (await running()).length === 0)
  await eventually('the key is free', async () => (await db.command({ collStats: 'idempotency' })).count === 0)
  t.equal((await ada.list(`?author=${ada.id}`)).items.length, 0)

  await session.abortTransaction()
  const again = await post()
  t.equal(again.status, 201)
  t.notOk(again.headers['idempotency-replayed'])
  t.equal((await post()).headers['idempotency-replayed'], 'true')
  t.equal((await ada.list(`?author=${ada.id}`)).items.length, 1)
})
