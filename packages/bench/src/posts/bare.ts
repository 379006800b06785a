// The least that a post costs: Fastify as it comes, the MongoDB driver, one journaled transaction of two inserts. No token, no checks, no
// events. Told its database by an argument.
import Fastify from 'fastify'
import { MongoClient } from 'mongodb'

const client = await MongoClient.connect(process.argv[2] ?? '')
const db = client.db('bare')
const posts = db.collection<{ _id: string; author: string; text: string; at: Date }>('posts')
const feed = db.collection<{ _id: string; reader: string; post: string }>('feed')
await feed.createIndex({ reader: 1, post: -1 })

const OPTIONS = { writeConcern: { w: 'majority', journal: true }, readConcern: { level: 'snapshot' } } as const
const app = Fastify()
app.post('/posts', async (request, reply) => {
  const { author, text } = request.body as { author: string; text: string }
  const id = crypto.randomUUID()
  await client.withSession((session) =>
    session.withTransaction(async () => {
      await posts.insertOne({ _id: id, author, text, at: new Date() }, { session })
      await feed.insertOne({ _id: `${author}/${id}`, reader: author, post: id }, { session })
    }, OPTIONS)
  )
  return reply.code(201).send({ id, author, text })
})
process.send?.({ url: await app.listen({ port: 0, host: '127.0.0.1' }) })
process.on('disconnect', () => process.exit(0))
