// The least that each read costs: Fastify as it comes and the MongoDB driver. No token, no checks, no limits. /login does nothing but the hash, by what has
// it cheaper.
// Told its database and how many people it has by its arguments.
import { randomBytes } from 'node:crypto'
import Fastify from 'fastify'
import { MongoClient } from 'mongodb'
import { HASHES, measureHashes } from './hashes.ts'

const client = await MongoClient.connect(process.argv[2] ?? '')
const people = Number(process.argv[3])
const each = Number(process.argv[4])
const db = client.db('bare')
const users = db.collection<{ _id: string }>('users')
const posts = db.collection<{ _id: string; author: object }>('posts')
const feeds = db.collection<{ _id: string; reader: string; post: string }>('feeds')
await feeds.createIndex({ reader: 1, post: -1 })

const now = new Date().toISOString()
const idOf = (n: number) => String(n).padStart(26, '0')
for (let n = 0; n < people; n++) {
  const author = { id: idOf(n), username: `bench${n}`, displayName: `bench${n}`, avatar: null }
  await users.insertOne({
    _id: idOf(n),
    ...{ ...author, bio: '', counts: { followers: 3, following: 3, posts: each }, createdAt: now, updatedAt: now },
    version: 1
  } as never)
  for (let p = 0; p < each; p++) {
    const id = idOf(1_000 + n * each + p)
    await posts.insertOne({
      _id: id,
      ...{
        author,
        title: null,
        summary: null,
        text: `Post ${p} of bench${n}. ${'Text of an ordinary length. '.repeat(8)}`
      },
      ...{
        tags: ['bench'],
        media: [],
        counts: { likes: 0, comments: 0 },
        liked: false,
        createdAt: now,
        updatedAt: now
      },
      version: 1
    } as never)
    for (let reader = n; reader <= n + 3; reader++)
      await feeds.insertOne({ _id: `${reader % people}/${id}`, reader: idOf(reader % people), post: id })
  }
}

const hashes = await measureHashes()
const [cheapest = ''] = Object.keys(hashes).sort((a, b) => hashes[a]! - hashes[b]!)
const hash = HASHES[cheapest]!
const salt = randomBytes(16)
const stored = await hash('correct horse battery', salt)

const app = Fastify()
app.get('/feed/:reader', async (request) => {
  const { reader } = request.params as { reader: string }
  const found = await feeds.find({ reader }, { sort: { post: -1 }, limit: 20 }).toArray()
  const byId = new Map<string, { _id: string }>()
  for (const post of await posts.find({ _id: { $in: found.map(({ post: id }) => id) } }).toArray())
    byId.set(post._id, post)
  return { items: found.map(({ post }) => byId.get(post)), next: found.at(-1)?.post ?? null }
})
app.get('/users/:id', (request) => users.findOne({ _id: (request.params as { id: string }).id }))
app.get('/posts/:id', (request) => posts.findOne({ _id: (request.params as { id: string }).id }))
app.get('/hashes', () => hashes)
app.post('/login', async (request, reply) => {
  const { password } = request.body as { password: string }
  const right = (await hash(password, salt)).equals(stored)
  return reply.code(right ? 200 : 401).send({ token: 'none' })
})
process.send?.({ url: await app.listen({ port: 0, host: '127.0.0.1' }) })
process.on('disconnect', () => process.exit(0))
