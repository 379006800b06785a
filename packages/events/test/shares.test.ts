import { bucketOf, newId, randomBucket } from '@skerry/store'
import t from 'tap'
import {
  consumerOfDurable,
  durableOf,
  PARTITIONS,
  partitionOfBucket,
  partitionsOf,
  roleOf,
  typeOf
} from '../src/partitions.ts'
import { shareOut } from '../src/shares.ts'

const namesOf = (count: number) => Array.from({ length: count }, (_, i) => `users-${i + 1}`)
const countsOf = (taken: readonly string[]) =>
  Object.values(Object.groupBy(taken, (member) => member)).map((parts) => parts!.length)

t.test('everybody has as many, give or take one, whatever the order of the members', async (t) => {
  for (let members = 1; members <= 12; members++) {
    for (const what of ['content:content--feeds', 'users:users--posts', 'x']) {
      const taken = shareOut(what, 8, namesOf(members))
      const counts = countsOf(taken)
      t.equal(taken.length, 8)
      t.ok(Math.max(...counts) <= Math.ceil(8 / members), `${members} members: ${counts}`)
      if (members <= 8) t.ok(counts.length === members && Math.min(...counts) >= Math.floor(8 / members))
      t.same(shareOut(what, 8, namesOf(members).reverse()), taken)
    }
  }
  t.same(shareOut('x', 8, []), [])
})

t.test(
  'one member more or less moves few parts; what is left over lies differently for different things',
  async (t) => {
    let moved = 0
    const THINGS = 100
    const first = new Set<string>()
    for (let i = 0; i < THINGS; i++) {
      const [before, after] = [shareOut(`thing ${i}`, 8, namesOf(3)), shareOut(`thing ${i}`, 8, namesOf(4))]
      moved += before.filter((member, part) => member !== after[part]).length
      first.add(after[0]!)
    }
    t.ok(moved / THINGS < 4.5, `${moved / THINGS} of 8 parts, of which 2 have to`)
    t.equal(first.size, 4)
  }
)

t.test('the partitions of a stream, and what is named after them', async (t) => {
  const eight = partitionsOf({ metadata: { [PARTITIONS]: '8' } })
  t.equal(eight.length, 8)
  t.same(
    [0, 511, 512, 4_095].map((bucket) => partitionOfBucket(eight, bucket).index),
    [0, 0, 1, 7]
  )
  const seen = new Set(
    Array.from({ length: 400 }, () => partitionOfBucket(eight, bucketOf(newId(randomBucket()))).index)
  )
  t.equal(seen.size, 8)
  const [one] = partitionsOf({ metadata: { [PARTITIONS]: '1' } })
  const [none] = partitionsOf({})
  t.same([eight[5]?.token, one?.token, none?.token], ['.5', '.0', ''])
  t.same(
    [eight[5]!, one!, none!].map((partition) => durableOf('content--feeds', partition)),
    ['content--feeds--p5', 'content--feeds', 'content--feeds']
  )
  t.same(
    [eight[5]!, none!].map((partition) => roleOf('content', 'content--feeds', partition)),
    ['consumer:content:content--feeds:5', 'consumer:content:content--feeds']
  )
  t.same(consumerOfDurable('content--feeds--r2--p5'), { consumer: 'content--feeds--r2', partition: 5 })
  t.same(consumerOfDurable('content--feeds--r2'), { consumer: 'content--feeds--r2', partition: undefined })
  t.equal(typeOf('content.post.created.v1.5'), 'content.post.created.v1')
  t.equal(typeOf('content.post.created.v1'), 'content.post.created.v1')
  t.equal(typeOf('content.refilled.9-lx2'), 'content.refilled.9-lx2')
  for (const metadata of [{ [PARTITIONS]: '9' }, { [PARTITIONS]: 'many' }, { [PARTITIONS]: '-1' }])
    t.throws(() => partitionsOf({ metadata }), /up to 8/)
})
