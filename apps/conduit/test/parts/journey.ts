import t from 'tap'
import { frontEnd, PASSWORD, register, slugs } from '../support/front-end.ts'
import { anybody, base } from '../support/system.ts'

const MILLISECONDS = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/
const draft = {
  title: 'How to train your dragon',
  description: 'Ever wonder how?',
  body: 'You have to believe',
  tagList: ['dragons', 'flight school']
}

t.test('the whole journey of a front end', async (t) => {
  const { user, ask } = await register(base, 'jane')
  t.match(user, { email: 'jane@example.com', username: 'jane', bio: null, image: null })
  t.match(user.token, /^[\w-]+\.[\w-]+\.[\w-]+$/, 'a JWT')
  const claims = JSON.parse(Buffer.from(user.token.split('.')[1]!, 'base64url').toString())
  t.equal(claims.exp - claims.iat, 30 * 24 * 3600)
  t.same((await ask('GET', '/user')).body.user, user)

  // Signs out (the token is only forgotten) and in again.
  const again = await anybody('POST', '/users/login', { user: { email: 'jane@example.com', password: PASSWORD } })
  t.equal(again.status, 200)
  t.match(again.body.user, { username: 'jane', email: 'jane@example.com' })
  t.not(again.body.user.token, user.token)

  // The settings form sends all of it.
  const image = 'https://images.example/jane.png'
  const settings = { email: 'jane@example.com', username: 'jane', bio: 'I write.', image, password: '' }
  const changed = await ask('PUT', '/user', { user: settings })
  t.equal(changed.status, 200)
  t.same(changed.body.user, { email: 'jane@example.com', username: 'jane', bio: 'I write.', image, token: user.token })
  const jane = { username: 'jane', bio: 'I write.', image, following: false }
  t.same((await anybody('GET', '/profiles/jane')).body.profile, jane)

  // Writes.
  const made = await ask('POST', '/articles', { article: draft })
  t.equal(made.status, 201)
  const { article } = made.body
  t.match(article, {
    ...draft,
    tagList: ['dragons', 'flight-school'],
    slug: 'how-to-train-your-dragon',
    favorited: false,
    favoritesCount: 0,
    author: jane
  })
  t.match(article.createdAt, MILLISECONDS)
  t.match(article.updatedAt, MILLISECONDS)
  const twin = await ask('POST', '/articles', { article: { ...draft, tagList: undefined } })
  t.match(twin.body.article.slug, /^how-to-train-your-dragon-[0-9a-z]{6}$/, 'unique')
  t.same(twin.body.article.tagList, [])
  t.same((await anybody('GET', `/articles/${article.slug}`)).body.article, article, 'as anybody reads it')

  // Lists.
  const all = await anybody('GET', '/articles')
  t.equal(all.status, 200)
  t.equal(all.body.articlesCount, 2)
  t.same(slugs(all.body.articles), [twin.body.article.slug, article.slug], 'newest first')
  t.notOk(Object.hasOwn(all.body.articles[0]!, 'body'), 'without bodies')
  const second = await anybody('GET', '/articles?limit=1&offset=1')
  t.same([slugs(second.body.articles), second.body.articlesCount], [[article.slug], 2])
  t.same(slugs((await anybody('GET', '/articles?tag=dragons')).body.articles), [article.slug])
  t.same(slugs((await anybody('GET', '/articles?author=jane')).body.articles), slugs(all.body.articles))
  t.same((await anybody('GET', '/articles?author=nobody')).body, { articles: [], articlesCount: 0 })
  t.same((await anybody('GET', '/tags')).body.tags, ['dragons', 'flight-school'])

  // Somebody else reads, follows, likes and comments.
  const { user: joe, ask: asJoe } = await register(base, 'joe')
  await asJoe('PUT', '/user', { user: { bio: 'Soon gone.', image } })
  const cleared = await asJoe('PUT', '/user', { user: { bio: null, image: null } })
  t.match(cleared, { status: 200, body: { user: { bio: null, image: null } } }, 'null clears, as RealWorld has it')
  t.same((await asJoe('GET', '/articles/feed')).body, { articles: [], articlesCount: 0 })
  // Some send a body where none is asked for.
  const followed = await asJoe('POST', '/profiles/jane/follow', { user: { email: 'joe@example.com' } })
  t.equal(followed.status, 200)
  t.match(followed.body.profile, { username: 'jane', following: true })
  t.match((await asJoe('GET', '/profiles/jane')).body.profile, { following: true })
  t.match((await ask('GET', '/profiles/joe')).body.profile, { following: false })
  const feed = await asJoe('GET', '/articles/feed?limit=1')
  t.same([slugs(feed.body.articles), feed.body.articlesCount], [[twin.body.article.slug], 2])
  t.equal(feed.body.articles[0]?.author.following, true)

  const favorite = `/articles/${article.slug}/favorite`
  t.match((await asJoe('POST', favorite)).body.article, { favorited: true, favoritesCount: 1, body: draft.body })
  t.match((await asJoe('POST', favorite, { article: {} })).body.article, { favorited: true, favoritesCount: 1 }, 'once')
  const seen = await anybody('GET', `/articles/${article.slug}`)
  t.match(seen.body.article, { favorited: false, favoritesCount: 1 })
  const favourites = await anybody('GET', '/articles?favorited=joe')
  t.same([slugs(favourites.body.articles), favourites.body.articlesCount], [[article.slug], 1])
  t.equal((await asJoe('GET', '/articles?favorited=joe')).body.articles[0]?.favorited, true)
  t.equal((await anybody('GET', '/articles?favorited=jane')).body.articlesCount, 0)
  t.match((await asJoe('DELETE', favorite)).body.article, { favorited: false, favoritesCount: 0 })
  t.match((await asJoe('POST', favorite)).body.article, { favorited: true, favoritesCount: 1 }, 'and back')

  const path = `/articles/${article.slug}/comments`
  const comment = await asJoe('POST', path, { comment: { body: 'Thank you!' } })
  t.equal(comment.status, 201)
  t.match(comment.body.comment, { body: 'Thank you!', author: { username: 'joe', following: false } })
  const { id } = comment.body.comment
  t.ok(Number.isInteger(id) && id > 0 && id < 2 ** 31)
  t.match(comment.body.comment.createdAt, MILLISECONDS)
  t.match(comment.body.comment.updatedAt, MILLISECONDS)
  const reply = await ask('POST', path, { comment: { body: 'Welcome.' } })
  t.not(reply.body.comment.id, id)
  const comments = await anybody('GET', path)
  t.same(
    comments.body.comments.map((one) => [one.id, one.body, one.author.username]),
    [
      [reply.body.comment.id, 'Welcome.', 'jane'],
      [id, 'Thank you!', 'joe']
    ]
  )
  const refused = await ask('DELETE', `${path}/${id}`)
  t.same([refused.status, refused.body], [403, { errors: { comment: ['forbidden'] } }])
  const deleted = await asJoe('DELETE', `${path}/${id}`)
  t.same([deleted.status, deleted.text], [204, ''])
  t.equal((await asJoe('DELETE', `${path}/${id}`)).status, 404)
  t.equal((await anybody('GET', path)).body.comments.length, 1)

  // Edits: the editor sends the whole article back.
  const renaming = { article: { ...article, title: 'Did you train your dragon?' } }
  const edited = await ask('PUT', `/articles/${article.slug}`, renaming)
  t.equal(edited.status, 200)
  const slug = 'did-you-train-your-dragon'
  const { createdAt, tagList } = article
  t.match(edited.body.article, { slug, createdAt, tagList, favoritesCount: 1 })
  t.ok(edited.body.article.updatedAt > article.updatedAt)
  t.equal((await anybody('GET', `/articles/${article.slug}`)).status, 404, 'the old slug')
  const text = await ask('PUT', `/articles/${slug}`, { article: { body: 'With a feather' } })
  t.match(text.body.article, { slug, body: 'With a feather', title: 'Did you train your dragon?', tagList })
  t.same((await ask('PUT', `/articles/${slug}`, { article: { tagList: [] } })).body.article.tagList, [])
  const freed = await ask('POST', '/articles', { article: draft })
  t.equal(freed.body.article.slug, 'how-to-train-your-dragon', 'the old slug is free')

  // Not theirs, and gone.
  for (const refused of [
    await asJoe('PUT', `/articles/${slug}`, { article: { body: 'Mine' } }),
    await asJoe('DELETE', `/articles/${slug}`)
  ])
    t.same([refused.status, refused.body], [403, { errors: { article: ['forbidden'] } }])
  const ended = await ask('DELETE', `/articles/${slug}`)
  t.same([ended.status, ended.text], [204, ''])
  const gone = await anybody('GET', `/articles/${slug}`)
  t.same([gone.status, gone.body.errors], [404, { article: ['not found'] }])
  t.equal((await anybody('GET', '/articles?favorited=joe')).body.articlesCount, 0)
  t.equal((await asJoe('DELETE', '/profiles/jane/follow')).body.profile.following, false)
  t.equal((await asJoe('GET', '/articles/feed')).body.articlesCount, 0)

  // A new name, address and password.
  const change = { username: 'joseph', email: 'joseph@example.com', password: 'another horse' }
  const renamed = await asJoe('PUT', '/user', { user: change })
  t.same(renamed.body.user, { ...joe, username: 'joseph', email: 'joseph@example.com' })
  t.match((await asJoe('GET', '/user')).body.user, { username: 'joseph', email: 'joseph@example.com' })
  t.equal((await anybody('GET', '/profiles/joseph')).status, 200)
  t.equal((await anybody('GET', '/profiles/joe')).status, 404)
  const { email, password } = change
  t.equal((await anybody('POST', '/users/login', { user: { email, password } })).status, 200)
})

t.test('who is not signed in is told so, without a body', async (t) => {
  for (const [method, path] of [
    ['GET', '/user'],
    ['PUT', '/user'],
    ['GET', '/articles/feed'],
    ['POST', '/articles'],
    ['POST', '/articles/x/favorite'],
    ['DELETE', '/articles/x/comments/1'],
    ['POST', '/profiles/rita/follow']
  ] as const) {
    const body = { user: {}, article: { title: 'a', description: 'b', body: 'c' } }
    const { status, text } = await anybody(method, path, method === 'PUT' || path === '/articles' ? body : undefined)
    t.same([status, text], [401, ''], `${method} ${path}`)
  }
  const bad = await frontEnd(base, 'a.b.c')('GET', '/articles')
  t.same([bad.status, bad.text], [401, ''], 'a bad token, also where none is needed')
  t.equal((await frontEnd(base, 'undefined')('GET', '/articles')).status, 200, 'what front ends send that have none')
})

t.test('what does not fit is refused with the field', async (t) => {
  const { ask } = await register(base, 'rita')
  const errorsOf = async (answer: ReturnType<typeof ask>) => {
    const { status, body } = await answer
    t.equal(status, 422)
    return body.errors
  }
  const signUp = (user: Record<string, string>) => errorsOf(anybody('POST', '/users', { user }))
  const [taken, blank] = [['has already been taken'], ["can't be blank"]]
  const password = PASSWORD
  t.same(await signUp({ username: 'Rita', email: 'r2@example.com', password }), { username: taken })
  t.same(await signUp({ username: 'rita2', email: 'RITA@example.com', password }), { email: taken })
  t.same(await signUp({ username: '', password }), { username: blank, email: blank })
  t.match(await signUp({ username: 'zed', email: 'zed@example.com', password: 'short' }), { password: [/8/] })
  t.match(await signUp({ username: 'z d', email: 'zed', password }), { username: [String], email: [String] })
  const wrong = { email: 'rita@example.com', password: 'wrong' }
  t.same(await errorsOf(anybody('POST', '/users/login', { user: wrong })), { 'email or password': ['is invalid'] })

  const write = (article: object) => errorsOf(ask('POST', '/articles', { article }))
  t.same(await write({ title: ' ', description: 'b', body: 'c' }), { title: blank })
  t.same(await write({}), { title: blank, description: blank, body: blank })
  t.match(await write({ title: 'a', description: 'b', body: 'c', tagList: ['x'.repeat(60)] }), { tagList: [/50/] })
  t.match(await write({ title: 'a'.repeat(201), description: 'b', body: 'c' }), { title: [/200/] })
  t.match(await errorsOf(ask('PUT', '/user', { user: { email: 'jane@example.com' } })), { email: taken })
  t.match(await errorsOf(anybody('GET', '/articles?limit=many')), { limit: [String] })
  t.match(await errorsOf(ask('POST', '/profiles/rita/follow')), { username: [String] })

  await ask('POST', '/articles', { article: { title: 'Feed', description: 'b', body: 'c' } })
  t.match((await anybody('GET', '/articles?author=rita')).body.articles[0]?.slug, /^feed-/, 'a slug is no route')
  const noComment = await ask('POST', '/articles/nothing/comments', { comment: { body: 'x' } })
  t.same([noComment.status, noComment.body.errors], [404, { article: ['not found'] }])
  t.equal((await anybody('GET', '/profiles/nobody')).status, 404)
  t.equal((await anybody('GET', '/nowhere')).status, 404)
})

t.test('a browser may ask from anywhere', async (t) => {
  for (const [path, method] of [
    ['/users', 'POST'],
    ['/user', 'PUT'],
    ['/articles/x', 'DELETE']
  ] as const) {
    const { status, headers } = await fetch(base + path, {
      method: 'OPTIONS',
      headers: {
        origin: 'https://realworld.example',
        'access-control-request-method': method,
        'access-control-request-headers': 'authorization,content-type,x-requested-with'
      }
    })
    t.equal(status, 204)
    t.equal(headers.get('access-control-allow-origin'), '*')
    t.match(headers.get('access-control-allow-methods'), method)
    for (const name of ['authorization', 'content-type', 'x-requested-with'])
      t.match(headers.get('access-control-allow-headers'), name)
  }
  t.equal((await anybody('GET', '/tags')).headers.get('access-control-allow-origin'), '*')
  t.equal((await anybody('GET', '/user')).headers.get('access-control-allow-origin'), '*', 'also where it is refused')
})
