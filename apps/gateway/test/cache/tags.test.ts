import t from 'tap'
import { compileEndedTags, compileTags } from '../../src/cache/tags.ts'

t.test('tags of a request', async (t) => {
  const tagsOf = compileTags(
    ['feed', 'profile:{id}', 'posts:{author}:{tag}', 'mine:{caller}'],
    '/v1/users/:id/posts',
    true
  )
  t.strictSame(tagsOf('/v1/users/u1/posts?author=a&tag=b%20c', 'me'), ['feed', 'profile:u1', 'posts:a:b c', 'mine:me'])
  t.strictSame(tagsOf('/v1/users/u1/posts?author=a', undefined), ['feed', 'profile:u1'], 'without what is not there')
  t.strictSame(tagsOf('/v1/users/%75%31/posts', 'me'), ['feed', 'profile:u1', 'mine:me'], 'as the service reads it')
  t.strictSame(tagsOf('/v1/users/u1/posts?id=u2', undefined), ['feed', 'profile:u1'], 'the path goes before the query')
})

t.test('a tag that cannot be told', async (t) => {
  const tagsOf = compileTags(['profile:{id}', 'posts:{author}'], '/v1/users/:id', true)
  t.equal(tagsOf(`/v1/users/${'x'.repeat(129)}`, undefined), undefined, 'too long')
  t.equal(tagsOf('/v1/users/%ff', undefined), undefined, 'not UTF-8')
  t.equal(tagsOf('/v1/users/u1?author=a&author=b', undefined), undefined, 'twice')
  t.throws(() => compileTags(['x'.repeat(129)], '/', true), { message: /128/ })
})

t.test('answers for all have no caller', async (t) => {
  t.strictSame(compileTags(['mine:{caller}', 'a'], '/v1/a', false)('/v1/a', 'me'), ['a'])
})

t.test('tags that an event ends', async (t) => {
  const tagsOf = compileEndedTags(['profile:{userId}', 'n:{count}', 'odd:{list}', 'all'])
  t.strictSame(tagsOf({ userId: 'u1', count: 3, list: ['x'] }), ['profile:u1', 'n:3', 'all'])
  t.strictSame(tagsOf({ userId: null, count: true }), ['all'])
  t.strictSame(tagsOf({ userId: 'x'.repeat(129) }), ['all'])
  t.strictSame(compileEndedTags(['x:{constructor}'])({}), [], 'members are its own')
})
