import t from 'tap'
import { frontEnd, PASSWORD, register, slugs } from '../support/front-end.ts'
import { anybody, base, system } from '../support/system.ts'

t.test('tags are listed in alphabetical order, in the form in which they are compared', async (t) => {
  const { ask } = await register(base, 'tess')
  const article = {
    title: 'Tags',
    description: 'b',
    body: 'c',
    tagList: ['zebra', 'Caf\u00e9', ' apple ', 'mango', 'cafe\u0301']
  }
  const made = await ask('POST', '/articles', { article })
  const tagList = ['apple', 'café', 'mango', 'zebra'].sort()
  t.same([made.status, made.body.article.tagList], [201, tagList])
  const { slug } = made.body.article
  t.same((await anybody('GET', `/articles/${slug}`)).body.article.tagList, tagList)
  t.same((await anybody('GET', '/articles?author=tess')).body.articles[0]?.tagList, tagList)
  for (const tag of ['CAFÉ', 'cafe\u0301', 'Zebra'])
    t.same(
      slugs((await anybody('GET', `/articles?tag=${encodeURIComponent(tag)}`)).body.articles),
      [slug],
      encodeURI(tag)
    )
  const edited = await ask('PUT', `/articles/${slug}`, { article: { tagList: ['b', 'A'] } })
  t.same(edited.body.article.tagList, ['a', 'b'])
})

t.test('a picture is an http or https URL', async (t) => {
  const { ask } = await register(base, 'paula')
  const set = (image: string) => ask('PUT', '/user', { user: { image } })
  const good = 'https://images.example/paula.png'
  t.equal((await set(` ${good} `)).body.user.image, good)
  for (const bad of [
    'javascript:alert(1)',
    ' JavaScript:alert(1)',
    'java\nscript:alert(1)',
    '\u0001javascript:alert(1)',
    'data:image/svg+xml,<svg onload=alert(1)>',
    'vbscript:x',
    'file:///etc/passwd',
    '//images.example/paula.png',
    'paula.png',
    'https://'
  ]) {
    const { status, body } = await set(bad)
    t.match({ status, ...body }, { status: 422, errors: { image: [String] } }, encodeURI(bad))
  }
  t.equal((await ask('GET', '/user')).body.user.image, good, 'the one before stays')
  const also = await ask('PUT', '/user', { user: { bio: 'changed', image: 'javascript:x' } })
  t.equal(also.status, 422)
  t.equal((await ask('GET', '/user')).body.user.bio, null, 'and nothing else is changed')
  t.equal((await set('')).body.user.image, null)
})

t.test('names and addresses are what the API makes of them; what cannot be seen is blank', async (t) => {
  const made = await anybody('POST', '/users', {
    user: { username: 'quinn ', email: ' Quinn@Example.com', password: PASSWORD }
  })
  t.match(made, { status: 201, body: { user: { username: 'quinn', email: 'Quinn@Example.com' } } })
  const email = 'ｑuinn@example.com '
  t.equal((await anybody('POST', '/users/login', { user: { email, password: PASSWORD } })).status, 200)
  t.equal((await anybody('GET', '/profiles/QUINN')).body.profile.username, 'quinn')
  const ask = frontEnd(base, made.body.user.token)
  const article = { title: '\u200b', description: '\u3164', body: '\u00ad' }
  const blank = ["can't be blank"]
  const refused = await ask('POST', '/articles', { article })
  t.match(refused, { status: 422, body: { errors: { title: blank, description: blank, body: blank } } })
})

t.test('429 of Skerry stays 429, with when to come back', async (t) => {
  await register(base, 'rosa')
  const wrong = { email: 'rosa@example.com', password: 'a wrong horse' }
  const answers = []
  for (let i = 0; i < 11; i++) answers.push(await anybody('POST', '/users/login', { user: wrong }))
  t.same(
    answers.slice(0, 10).map(({ status }) => status),
    Array(10).fill(422)
  )
  const last = answers.at(-1)!
  t.match(last, { status: 429, body: { errors: { requests: [/too many/] } } })
  const wait = Number(last.headers.get('retry-after'))
  const direct = await fetch(`${system.url}/v1/auth/login`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ login: wrong.email, password: wrong.password })
  })
  t.equal(direct.status, 429, 'as it says itself')
  const ahead = wait - Number(direct.headers.get('retry-after'))
  t.ok(wait > 1 && ahead >= 0, 'its own time, not one of ours', { wait, ahead })
})
