import type { Account, Problem } from '@skerry/contracts'
import { collectionOf } from '@skerry/store'
import t from 'tap'
import { accounts } from '../src/data/accounts.ts'
import { emails, usernames } from '../src/data/reservations.ts'
import { findFormerNames } from '../src/domain/former-names.ts'
import { startAuth } from './support/system.ts'

const auth = await startAuth(t, { instances: 2 })
const { persist } = auth
const password = 'correct horse'

const signUp = (email: string, username: string, more: object = {}) =>
  persist('POST', '/v1/auth/signup', { body: { email, username, password, ...more } })
const logIn = (login: string) => persist('POST', '/v1/auth/login', { body: { login, password } })

t.test('who is signed up gets in, however a keyboard writes the login', async (t) => {
  const made = await signUp(' Ada@Example.com\u00a0', 'Ada ')
  t.equal(made.status, 201)
  t.match(made.body.user, { email: 'Ada@Example.com', username: 'Ada' }, 'kept as it was meant')
  for (const login of [
    'ada@example.com ',
    '\u200bada@example.com',
    'ａｄａ＠ｅｘａｍｐｌｅ．ｃｏｍ',
    'ada@example.com. ',
    'ada\u00ad@example.com',
    'ada ',
    ' ADA',
    'ａｄａ'
  ]) {
    const { status, body } = await logIn(login)
    t.same([status, body.user?.id], [200, made.body.user.id], encodeURI(login))
  }
  t.equal((await signUp('j@münchen.example', 'munich')).status, 201)
  t.equal((await logIn('J@xn--mnchen-3ya.example')).status, 200)
})

t.test('one address is one account', async (t) => {
  t.equal((await signUp('eve@example.com', 'eve')).status, 201)
  const same = [
    'eve@example.com',
    'e\u200bve@example.com',
    'EVE@exam\u00adple.com',
    'ｅｖｅ@example.com',
    'eve@ｅxample.com'
  ]
  for (const [i, email] of same.entries()) {
    const { status, body } = await signUp(email, `eve${i}`)
    t.match(
      { ...body, status },
      { status: 409, code: 'AUTH_EMAIL_TAKEN', errors: [{ path: 'body.email' }] },
      encodeURI(email)
    )
  }
  for (const email of ['j@münchen.example', 'j@mu\u0308nchen.example', 'j@xn--mnchen-3ya.example'])
    t.equal((await signUp(email, 'another')).body.code, 'AUTH_EMAIL_TAKEN', encodeURI(email))
  const racing = await Promise.all(
    ['r@é.example', 'r@e\u0301.example', 'r@xn--9ca.example'].map((email, i) => signUp(email, `racer${i}`))
  )
  t.same(racing.map(({ status }) => status).sort(), [201, 409, 409], 'also at once')
})

t.test('what is no address, domain or name is refused with its field and a code', async (t) => {
  const refused = async (email: string, more: object, expected: object[]) => {
    const { status, body } = await signUp(email, 'refused', more)
    t.match(
      { status, errors: body.errors },
      { status: 400, errors: expected },
      JSON.stringify([encodeURI(email), more])
    )
  }
  await refused('a@1.2', {}, [{ path: 'body.email', code: 'email_domain' }])
  await refused('a@b.c/d', {}, [{ path: 'body.email', code: 'email_domain' }])
  await refused('a@ex%61mple.com', {}, [{ path: 'body.email', code: 'email_domain' }])
  for (const [displayName, code] of [
    ['  ', 'blank'],
    ['\u200b\u3164', 'blank'],
    ['a\u202eb', 'bidi'],
    ['a\u2067b', 'bidi'],
    ['a\u0007b', 'control'],
    ['a\nb', 'control'],
    [`a${'\u0301'.repeat(40)}`, 'marks']
  ])
    await refused('new@example.com', { displayName }, [{ path: 'body.displayName', code }])
  await refused('a@b.c:1', { displayName: '\u200b' }, [{ path: 'body.email' }, { path: 'body.displayName' }])

  const named = await signUp('named@example.com', 'named', { displayName: ' Ame\u0301lie\u200b 👩\u200d🚀 ' })
  const caller = await auth.instances[0]!.identity.verify(named.body.accessToken)
  t.equal(caller.displayName, 'Amélie 👩\u200d🚀')
  const blank = await persist<Problem>('POST', '/v1/auth/login', { body: { login: ' \u200b', password } })
  t.match(blank, { status: 400, body: { errors: [{ path: 'body.login', code: 'blank' }] } })
})

t.test('a display name is as long as what is kept of it, however its accents are typed', async (t) => {
  const name = (displayName: string, i: number) => signUp(`accents${i}@example.com`, `accents${i}`, { displayName })
  t.equal((await name('e\u0301'.repeat(80), 0)).status, 201)
  // NFC writes these Devanagari letters as two signs.
  for (const [i, long] of ['e\u0301'.repeat(81), '\u0958'.repeat(41)].entries())
    t.match((await name(long, i + 1)).body, { status: 400, errors: [{ path: 'body.displayName', code: 'too_long' }] })
})

t.test('the length of a username is that of what is kept, and nothing hides in it', async (t) => {
  const letters = 'abcdefghijklmnopqrstuvwxyz0123'
  const wide = [...letters].map((sign) => String.fromCodePoint(sign.codePointAt(0)! + 0xfee0)).join('')
  const made = await signUp('long@example.com', ` ${[...letters].join('\u200b')} `)
  t.match(made, { status: 201, body: { user: { username: letters } } }, 'thirty signs that are seen')
  for (const same of [letters, letters.toUpperCase(), wide])
    t.equal((await signUp('long2@example.com', same)).body.code, 'AUTH_USERNAME_TAKEN', encodeURI(same))
  for (const [username, code] of [
    [`${letters}4`, 'too_long'],
    [`${wide}4`, 'too_long'],
    ['a\u200bb', 'too_short'],
    [' ab ', 'too_short'],
    // Three or more code points, two or one that people see.
    ['ab\u0301', 'pattern'],
    ['👩\u200d👩\u200d👧', 'pattern'],
    // Cyrillic that looks like Latin.
    ['\u0430da', 'pattern']
  ] as const) {
    const { status, body } = await signUp('short@example.com', username)
    const errors = [{ path: 'body.username', code }]
    t.match({ status, errors: body.errors }, { status: 400, errors }, encodeURI(username))
  }
})

/** An account as a release before keys had their forms of today made it. */
async function formerAccount(name: string, address: string, key: string) {
  const { body } = await signUp(`${name}@former.example`, name)
  const { id } = body.user
  await collectionOf(auth.store.db, emails).deleteOne({ _id: `${name}@former.example` })
  await collectionOf(auth.store.db, emails).insertOne({ _id: key, userId: id })
  const { bucket } = (await auth.peek('accounts')).find(({ _id }) => (_id as unknown) === id) as unknown as {
    bucket: number
  }
  await collectionOf(auth.store.db, accounts).updateOne({ bucket, _id: id }, { $set: { email: address } })
  return { id, token: body.accessToken }
}

const keysOf = async (id: string) =>
  (await auth.peek('emails')).filter(({ userId }) => userId === id).map(({ _id }) => String(_id))

t.test('accounts from before get in with what they were made with, and nobody takes their address', async (t) => {
  const old = await formerAccount('olga', 'olga@bücher.example', 'olga@bücher.example')
  for (const login of ['olga@bücher.example', 'OLGA@xn--bcher-kva.example ', 'olga@bu\u0308cher.example'])
    t.equal((await logIn(login)).body.user?.id, old.id, encodeURI(login))
  for (const email of ['olga@bücher.example', 'olga@xn--bcher-kva.example'])
    t.equal((await signUp(email, 'olga2')).body.code, 'AUTH_EMAIL_TAKEN', email)

  // Two that are one today: each is found by what it was made with.
  const one = await formerAccount('hugo', 'hugo@zürich.example', 'hugo@zürich.example')
  const other = await formerAccount('hugo2', 'hugo@xn--zrich-kva.example', 'hugo@xn--zrich-kva.example')
  t.equal((await logIn('hugo@zürich.example')).body.user?.id, one.id)
  t.equal((await logIn('hugo@xn--zrich-kva.example')).body.user?.id, other.id)

  // A former address that is written anew is reserved by its key, and no longer by the former one.
  const change = { email: 'olga@xn--bcher-kva.example' }
  const changed = await persist<Account>('PATCH', '/v1/auth/account', { token: old.token, body: change })
  t.match(changed, { status: 200, body: change })
  t.same(await keysOf(old.id), ['olga@xn--bcher-kva.example'])
  const invisible = await formerAccount('ivy', 'i\u200bvy@example.com', 'i\u200bvy@example.com')
  t.equal((await logIn('i\u200bvy@example.com')).body.user?.id, invisible.id)
  await persist('PATCH', '/v1/auth/account', { token: invisible.token, body: { email: ' ivy@example.com' } })
  t.same(await keysOf(invisible.id), ['ivy@example.com'])
  t.equal((await logIn('ivy@example.com')).body.user?.id, invisible.id)
})

t.test('names in a form from before are found page by page, each once', async (t) => {
  const holder = (await signUp('held0@example.com', 'holder')).body.user.id
  const stored = Array.from({ length: 1_100 }, (_, i) => `held\u200b${i}@example.com`)
  await collectionOf(auth.store.db, emails).insertMany(stored.map((_id, i) => ({ _id, userId: `user ${i}` })))
  await collectionOf(auth.store.db, usernames).insertOne({ _id: 'Ｚed', userId: 'zed' })
  const found = []
  let [pages, looked] = [0, 0]
  for (let after: string | undefined; ; pages++) {
    const page = await findFormerNames(auth.store, after)
    found.push(...page.items)
    looked += page.looked
    if (page.next === null) break
    after = page.next
  }
  t.ok(pages > 5, 'no page is large', { pages })
  t.equal(looked, (await auth.peek('emails')).length + (await auth.peek('usernames')).length, 'every name is looked at')
  const held = found.filter(({ stored: one }) => one.startsWith('held'))
  t.same(held.map((one) => one.stored).sort(), stored.toSorted())
  t.same(
    held.filter(({ holders }) => holders.length > 0),
    [
      {
        kind: 'email',
        stored: 'held\u200b0@example.com',
        form: 'held0@example.com',
        ids: ['user 0'],
        holders: [holder]
      }
    ]
  )
  t.same(found.at(-1), { kind: 'username', stored: 'Ｚed', form: 'zed', ids: ['zed'], holders: [] })
})
