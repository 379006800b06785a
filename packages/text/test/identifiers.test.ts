import t from 'tap'
import { email, emailForms, emailKey, loginKey, tidy, usernameKey } from '../src/index.ts'

const ADA = 'ada@example.com'

t.test('one address is one account, however a keyboard writes it', async (t) => {
  for (const typed of [
    'ada@example.com ',
    '\tada@example.com\n',
    '\u00a0ada@example.com\u3000',
    'Ada@Example.COM',
    'ada@example.com. ',
    'ada\u200b@example.com',
    'a\u202eda@example.com',
    '\u2060ada@exam\u00adple.com\ufeff',
    'a\u200dda@exa\u200cmple.com',
    'ａｄａ＠ｅｘａｍｐｌｅ．ｃｏｍ',
    'ada@example。com'
  ]) {
    t.equal(emailKey(typed), ADA, JSON.stringify(typed))
    t.equal(String(email(typed)).toLowerCase(), ADA, `${JSON.stringify(typed)} as it is kept`)
    t.same(loginKey(typed), { kind: 'email', key: ADA })
  }
  t.equal(email(' Ada@Example.COM '), 'Ada@Example.COM', 'its case stays')
})

t.test('domains are compared as ASCII, by the non-transitional rules of UTS #46', async (t) => {
  const ascii = 'j@xn--mnchen-3ya.example'
  for (const typed of [
    ascii,
    'j@münchen.example',
    'J@MÜNCHEN.example',
    'j@mu\u0308nchen.example',
    'j@XN--mnchen-3ya.example'
  ])
    t.equal(emailKey(typed), ascii, typed)
  t.equal(email('j@mu\u0308nchen.example'), 'j@münchen.example', 'kept in its own script')
  t.equal(emailKey('a@faß.de'), 'a@xn--fa-hia.de')
  t.not(emailKey('a@faß.de'), emailKey('a@fass.de'), 'two domains that anybody may register')
  t.equal(emailKey('a@نامه\u200cای.com'), 'a@xn--mgba3gch31f060k.com', 'a joiner that makes another name')
})

t.test('what is no address is refused, and has a key that no address has', async (t) => {
  for (const typed of [
    '',
    ' ',
    'ada',
    '@example.com',
    'ada@',
    'ada@@example.com',
    'a@b@example.com',
    'a da@example.com',
    'a\u0007da@example.com',
    'ada@example.com,bob@example.com',
    `${'x'.repeat(300)}@example.com`
  ])
    t.match(email(typed), { code: 'email', message: String }, JSON.stringify(typed))
  for (const domain of [
    'localhost',
    '1.2',
    '127.0.0.1',
    'a.0x1',
    'example.com:80',
    'example.com/path',
    'ex%61mple.com',
    'user?.com',
    '[::1]',
    'a..com',
    `${'x'.repeat(64)}.com`,
    'a\u0644b.com'
  ]) {
    t.match(email(`ada@${domain}`), { code: 'email_domain', message: String }, domain)
    t.notMatch(emailKey(`ada@${domain}`), /@(?:1\.0\.0\.2|example\.com)$/, domain)
  }
})

t.test('usernames and logins', async (t) => {
  t.equal(usernameKey(' Ada.B-1_ '), 'ada.b-1_')
  t.equal(tidy('Ada\u200b '), 'Ada')
  t.same(loginKey('Ａｄａ '), { kind: 'username', key: 'ada' })
  t.same(loginKey(' '), { kind: 'username', key: '' })
})

t.test('former keys find accounts that were made before', async (t) => {
  t.same(emailForms('Ada@Example.com'), ['ada@example.com'])
  const [own, ascii] = ['j@münchen.example', 'j@xn--mnchen-3ya.example']
  t.same(emailForms('J@München.example'), [own, ascii])
  t.same(emailForms(ascii), [ascii, own], 'what was typed first')
  t.same(emailForms('ada\u200b@example.com'), ['ada\u200b@example.com', 'ada@example.com'])
  for (const typed of ['İ@example.com', 'ﬁ@example.com', 'Ὀδυσσεύς@example.com', 'ｱ\uff9e@example.com']) {
    const key = emailKey(typed)
    t.equal(emailKey(key), key, `the key of ${typed} is its own key`)
  }
})
