import { TagsSchema, TextSchema, TitleSchema, UsernameSchema } from '@skerry/contracts'
import t from 'tap'
import { tagFrom, usernameFrom } from '../src/demo/names.ts'
import { planDemo } from '../src/demo/plan.ts'
import { secretFrom } from '../src/demo/secret.ts'
import { cut, htmlToText } from '../src/demo/text.ts'
import { bareSubject } from '../src/demo/threads.ts'
import { MAILS, mail } from './demo-mails.ts'

const { hash } = secretFrom(Buffer.alloc(32, 1))

t.test('mails become users, posts, comments and follows', async (t) => {
  const plan = await planDemo(MAILS, { hash })
  const name = new Map(plan.users.map((u) => [u.key, u.username]))
  t.same(
    plan.users.map((u) => [u.username, u.displayName]),
    [
      ['ada.lovelace', 'Ada Lovelace'],
      ['charles.babbage', 'Charles Babbage'],
      ['padraig.brady', 'Pádraig Brady'],
      ['someone', 'x'],
      ['someone.2', 'y'],
      ['feed.one', 'Feed: one'],
      ['two', 'two'],
      ['three', 'three'],
      ['kevin', 'Kevin']
    ]
  )
  t.same(
    plan.posts.map((p) => [p.key, name.get(p.user), p.title, p.tags]),
    [
      ['list/001', 'ada.lovelace', '[MATH] An engine', ['lovelace.example']],
      ['list/004', 'padraig.brady', 'été', ['linux.example', 'ilug.linux.example']],
      ['list/006', 'someone', 'Re: lost', ['gone.example']],
      ['list/012', 'feed.one', undefined, ['feeds.example']],
      ['list/013', 'two', `${'s'.repeat(199)}…`, ['feeds.example']],
      ['list/014', 'three', 'big', ['feeds.example']],
      ['list/015', 'kevin', 'k', ['dated.example']]
    ]
  )
  t.same(
    plan.comments.map((c) => [c.key, name.get(c.user), c.post]),
    [
      ['list/002', 'charles.babbage', 'list/001'],
      ['list/003', 'ada.lovelace', 'list/001'],
      ['list/005', 'charles.babbage', 'list/004'],
      ['list/007', 'someone.2', 'list/006'],
      ['list/016', 'kevin', 'list/014']
    ]
  )
  t.same(
    plan.follows.map((f) => `${name.get(f.user)} > ${name.get(f.follows)}`),
    [
      'charles.babbage > ada.lovelace',
      'ada.lovelace > charles.babbage',
      'charles.babbage > padraig.brady',
      'kevin > three'
    ]
  )
  t.same(plan.skipped, { 'same mail twice': 1, 'no sender': 1, 'no date': 1, 'no text': 1 })
  t.equal(plan.mails, MAILS.length)
  t.same(plan.cut, { posts: 1, comments: 1 })
})

t.test('texts are readable, clean, and hold no address', async (t) => {
  const plan = await planDemo(MAILS, { hash })
  const text = (key: string) => [...plan.posts, ...plan.comments].find((x) => x.key === key)?.text
  t.equal(
    text('list/001'),
    `Has anybody built the engine? Write to ${hash('ada@lovelace.example')}@demo.invalid or ${hash('babbage@difference.example')}@demo.invalid.`
  )
  t.equal(plan.users[0]?.email, `${hash('ada@lovelace.example')}@demo.invalid`, 'the same code as in the texts')
  t.equal(text('list/004'), 'It costs 5 € in all.')
  t.equal(text('list/005'), 'By subject alone, with a raw £ and a ’quote’.')
  t.equal(text('list/012'), 'One & twoé\nthree\n\n• item')
  t.match(text('list/016'), /^nul {2}and bell\nline line/)
  t.notMatch(JSON.stringify(plan), /lovelace\.example>|@(?!demo\.invalid)[a-z]+\.example/)
})

t.test('everything fits the contract', async (t) => {
  const plan = await planDemo(MAILS, { hash })
  const max = (schema: object) => (schema as { maxLength: number }).maxLength
  const pattern = (schema: object) => new RegExp((schema as { pattern: string }).pattern)
  for (const { text, title, tags } of plan.posts) {
    t.ok(text.length > 0 && text.length <= max(TextSchema))
    t.ok(title === undefined || (title.length > 0 && title.length <= max(TitleSchema)))
    t.ok(tags.every((tag) => pattern(TagsSchema.items).test(tag) && tag.length <= 50))
  }
  t.ok(plan.comments.every((c) => c.text.length > 0 && c.text.length <= 5000))
  t.ok(plan.users.every((u) => pattern(UsernameSchema).test(u.username)))
})

t.test('the plan does not depend on the order of the mails, and a limit is its beginning', async (t) => {
  const plan = await planDemo(MAILS, { hash })
  const shuffled = await planDemo([...MAILS].filter((m) => m.key !== 'list/008').reverse(), { hash })
  t.same({ ...shuffled, skipped: 0, mails: 0 }, { ...plan, skipped: 0, mails: 0 })
  const few = await planDemo(MAILS, { hash, limit: 5 })
  t.same(few.users, plan.users.slice(0, 3))
  t.same(few.posts, plan.posts.slice(0, 2))
  t.same(few.comments, plan.comments.slice(0, 3))
})

t.test('mails that are broken in every way are counted, never thrown', async (t) => {
  const broken = [
    mail('b/1'),
    mail('b/2', '\x00\x00\x00'),
    mail('b/3', 'From x', 'no headers'),
    mail(
      'b/4',
      'From: =?utf-8?B?////?= <a@b.example>',
      'Date: Fri, 23 Aug 2002 13:00:00 GMT',
      'Content-Type: multipart/mixed; boundary="never"',
      '',
      '--other',
      'x'
    ),
    mail('b/5', 'From: a@b.example', 'Date: nonsense', 'Received: nonsense', '', 'text'),
    { key: 'b/6', raw: new Uint8Array(6_000_000) },
    mail(
      'b/7',
      'From: a@b.example',
      'Date: Fri, 23 Aug 2002 13:00:00 GMT',
      'Content-Type: text/plain; charset=x-unheard-of',
      '',
      'still read'
    )
  ]
  const plan = await planDemo(broken, { hash })
  t.equal(plan.mails, 7)
  t.equal(
    Object.values(plan.skipped).reduce((a, b) => a + b, 0),
    7 - plan.posts.length
  )
  t.equal(plan.posts.at(-1)?.text, 'still read')
  t.equal(plan.skipped.unreadable, 1)
})

t.test('small parts', async (t) => {
  t.equal(bareSubject('Re: [ILUG] Fwd: RE[2]:  Hello  World'), 'hello world')
  t.equal(bareSubject('Regarding: x'), 'regarding: x')
  t.equal(usernameFrom('Jørgen Thomsen', 'x'), 'jorgen.thomsen')
  t.equal(usernameFrom('伊東 仁', 'hito'), 'hito')
  t.equal(usernameFrom("CNET News.com Daily Dispatch O'Neil", 'x'), 'cnet.news.com.daily')
  t.equal(tagFrom('Sub_Domain.EXAMPLE.org.'), 'subdomain.example.org')
  t.equal(tagFrom(`${'a'.repeat(60)}.example.org`), 'example.org')
  t.equal(tagFrom('localhost'), undefined)
  t.equal(cut('one two three', 9), 'one two…')
  t.equal(cut(`${'x'.repeat(8)}😀`, 10).isWellFormed(), true)
  t.equal(htmlToText('a<!-- x --> &lt;b&gt; &#xe9; &#146; &unknown; &#99999999;b'), 'a <b> é ’ &unknown; b')
})
