import type { Profile } from '@skerry/contracts'
import { waitFor } from '@skerry/testing'
import t from 'tap'
import { startUsers } from './support/system.ts'

const { person, neighbours, readEvents } = await startUsers(t, { instances: 2 })
const count = async (subject: string, userId: string) =>
  (await readEvents()).filter((e) => e.subject === subject && e.data.userId === userId).length

t.test('a profile is made once, by its event or its first request', async (t) => {
  const early = person('Early.Bird')
  const made = await Promise.all(Array.from({ length: 20 }, () => early.me()))
  t.match(made[0], {
    id: early.id,
    username: 'Early.Bird',
    displayName: 'Early.Bird Somebody',
    bio: '',
    avatar: null,
    counts: { followers: 0, following: 0, posts: 0 },
    version: 1
  })
  for (const other of made) t.same(other, made[0])
  await neighbours.created(early)
  await neighbours.repeatLast()

  const late = person('late')
  await neighbours.created(late)
  await waitFor(async () => (await early.send('GET', `/v1/users/${late.id}`)).status === 200)
  t.equal((await late.me()).username, 'late')

  const both = person('both')
  await Promise.all([neighbours.created(both), ...Array.from({ length: 10 }, () => both.me())])
  for (const { id } of [early, late, both]) await waitFor(async () => (await count('users.profile.created.v1', id)) > 0)
  // The last event is applied, so all before it are.
  const last = person('last')
  await neighbours.created(last)
  await waitFor(async () => (await count('users.profile.created.v1', last.id)) === 1)
  for (const { id } of [early, late, both]) t.equal(await count('users.profile.created.v1', id), 1)
})

t.test('a profile is changed with care', async (t) => {
  const me = person('careful')
  const before = await me.send('GET', '/v1/users/me')
  const etag = String(before.headers.etag)
  t.match(etag, /^"1\./)
  const first = await me.send('PATCH', '/v1/users/me', {
    body: { displayName: 'Ada', bio: 'Counts.' },
    headers: { 'if-match': etag }
  })
  t.match(first, { status: 200, body: { displayName: 'Ada', bio: 'Counts.', version: 2 } })
  const stale = await me.send('PATCH', '/v1/users/me', { body: { bio: '' }, headers: { 'if-match': etag } })
  t.match(stale, { status: 412, body: { code: 'PRECONDITION_FAILED' } })
  const staleSame = await me.send('PATCH', '/v1/users/me', { body: { bio: 'Counts.' }, headers: { 'if-match': etag } })
  t.equal(staleSame.status, 412, 'also when it would change nothing')
  const any = await me.send('PATCH', '/v1/users/me', { body: { bio: 'x' }, headers: { 'if-match': '*' } })
  t.match(any, { status: 200, body: { version: 3, displayName: 'Ada' } })
  const nothing = await me.send('PATCH', '/v1/users/me', { body: { bio: 'x', displayName: null, avatarId: null } })
  t.match(nothing, { status: 200, body: { version: 3, displayName: 'Ada' } }, 'in JSON null means absent')
  const picture = await me.send('PATCH', '/v1/users/me', { body: { bio: 'y', avatarId: me.id } })
  t.match(picture, { status: 400, body: { errors: [{ path: 'body.avatarId' }] } })

  const races = await Promise.all(
    Array.from({ length: 10 }, (_, i) =>
      me.send('PATCH', '/v1/users/me', {
        body: { bio: `race ${i}` },
        headers: { 'if-match': String(any.headers.etag) }
      })
    )
  )
  t.equal(races.filter((r) => r.status === 200).length, 1, 'one of those who saw the same version wins')
  t.equal(races.filter((r) => r.status === 412).length, 9)
  const after = await me.me()
  t.equal(after.version, 4)
  t.equal((await me.send('GET', '/v1/users/me', { headers: { 'if-none-match': '"x"' } })).status, 200)
  const same = String((await me.send('GET', '/v1/users/me')).headers.etag)
  t.equal((await me.send('GET', '/v1/users/me', { headers: { 'if-none-match': same } })).status, 304)

  await waitFor(async () => (await count('users.profile.updated.v1', me.id)) === 3)
  const updates = (await readEvents()).filter(
    (e) => e.subject === 'users.profile.updated.v1' && e.data.userId === me.id
  )
  t.same(
    updates.map((e) => e.data.version),
    [2, 3, 4]
  )
})

t.test('people are found by name, ids and prefix', async (t) => {
  const names = ['Zoe.A', 'zoe.b', 'ZOE.c', 'zoe', 'zof']
  const people = names.map((name) => person(name))
  for (const someone of people) await someone.me()
  const [asker] = people as [(typeof people)[0]]
  const found = await asker.page('/v1/users?username=zOE.A')
  t.match(found, { items: [{ id: people[0]!.id, username: 'Zoe.A' }], nextCursor: null })
  t.same((await asker.page('/v1/users?username=nobody-at-all')).items, [])

  const ids = [people[3]!.id, '00000000000000000000000000', people[1]!.id, people[4]!.id]
  t.same(
    (await asker.page(`/v1/users?ids=${ids}&limit=1`)).items.map((p) => p.username),
    ['zoe', 'zoe.b', 'zof'],
    'in the order asked, without the unknown'
  )

  const seen: string[] = []
  let cursor: string | null = ''
  do {
    const next: { items: Profile[]; nextCursor: string | null } = await asker.page(
      `/v1/users?q=ZoE&limit=3${cursor === '' ? '' : `&cursor=${cursor}`}`
    )
    seen.push(...next.items.map((p) => p.username))
    cursor = next.nextCursor
  } while (cursor !== null)
  t.same(seen, ['zoe', 'Zoe.A', 'zoe.b', 'ZOE.c'])

  const sparse = await asker.page('/v1/users?username=zoe&fields=username,counts.posts')
  t.same(sparse.items, [{ username: 'zoe', counts: { posts: 0 } }])

  for (const query of ['', '?q=a&username=abc', `?ids=${ids[0]}&q=a`, `?ids=${ids[0]}&q=a&username=abc`]) {
    const { status, body } = await asker.send('GET', `/v1/users${query}`)
    t.equal(status, 400, query)
    t.match(
      body.errors?.map((e) => e.path),
      ['query.username', 'query.ids', 'query.q']
    )
  }
  t.equal((await asker.send('GET', `/v1/users?username=zoe&cursor=abc`)).status, 400)
})

t.test('names and bios are kept in one form, and a name can be seen', async (t) => {
  const me = person('keyboard')
  const change = (body: object) => me.send('PATCH', '/v1/users/me', { body })
  const kept = await change({ displayName: ' Ame\u0301lie\u200b 👩\u200d🚀\u00a0', bio: ' I write.\r\nCode\u0007.\n' })
  t.match(kept, { status: 200, body: { displayName: 'Amélie 👩\u200d🚀', bio: 'I write.\nCode.', version: 2 } })
  const same = await change({ displayName: 'Amélie 👩\u200d🚀' })
  t.match(same, { status: 200, body: { version: 2 } }, 'the same in another form changes nothing')
  t.match(
    await change({ displayName: 'می\u200cخواهم' }),
    { body: { displayName: 'می\u200cخواهم' } },
    'joiners that Persian needs stay'
  )
  for (const [displayName, code] of [
    ['  ', 'blank'],
    ['\u200b', 'blank'],
    ['\u3164', 'blank'],
    ['a\u202eb', 'bidi'],
    ['a\u2066b', 'bidi'],
    ['a\u0007b', 'control'],
    ['a\nb', 'control'],
    [`a${'\u0301'.repeat(40)}`, 'marks']
  ] as const)
    t.match(
      await change({ displayName }),
      { status: 400, body: { errors: [{ path: 'body.displayName', code }] } },
      code
    )
  t.equal((await change({ displayName: 'e\u0301'.repeat(80), bio: 'e\u0301'.repeat(1_000) })).status, 200)
  for (const long of [{ displayName: '\u0958'.repeat(41) }, { bio: '\u0958'.repeat(501) }])
    t.match(await change(long), { status: 400, body: { errors: [{ code: 'too_long' }] } }, 'of what would be kept')
  t.match(await change({ bio: '\u200b \n' }), { status: 200, body: { bio: '' } }, 'a bio may be empty')

  for (const typed of ['keyboard ', ' KEYBOARD', 'ｋｅｙboard', 'key\u200bboard'])
    for (const query of [`username=${encodeURIComponent(typed)}`, `q=${encodeURIComponent(typed)}`])
      t.same(
        (await me.page(`/v1/users?${query}`)).items.map(({ id }) => id),
        [me.id],
        query
      )
})
