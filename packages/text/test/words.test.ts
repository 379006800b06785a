import t from 'tap'
import { bio, displayName, line, tag, tags, text, withNfc } from '../src/index.ts'

/** A text as the name of a test, whose lines are TAP. */
const named = (text: string) => encodeURI(text).replaceAll('#', '%23')

/** Invisible characters with a function: Persian, Sinhala, Bengali, a family, a heart in colours, a keycap, a flag, a Japanese name, Mongolian. */
const WITH_FUNCTION = [
  'می\u200cخواهم',
  'ශ්\u200dරී',
  'র\u200d্য',
  '👩\u200d👩\u200d👧\u200d👦',
  '🏋🏽\u200d♀\ufe0f',
  '❤\ufe0f\u200d🔥',
  '1\ufe0f\u20e3',
  '🏴\u{e0067}\u{e0062}\u{e0073}\u{e0063}\u{e0074}\u{e007f}',
  '葛\u{e0100}城市',
  'ᠠ\u180b'
]

t.test('names, tags and texts keep the joiners and selectors that languages and emoji need', async (t) => {
  for (const one of WITH_FUNCTION)
    for (const [what, take] of Object.entries({ displayName, tag, text, line, bio }))
      t.equal(take(one), one.normalize('NFC'), `${what} ${one}`)
})

t.test('a name is kept without what nobody sees', async (t) => {
  for (const [typed, kept] of [
    ['  Ada Lovelace\u00a0', 'Ada Lovelace'],
    ['A\u200bd\u00ada\u2060', 'Ada'],
    ['Ad\u200da\u200c', 'Ada'],
    ['\ufeffAda\u{e0001}\u{e0041}', 'Ada'],
    ['Ada\u3164', 'Ada'],
    ['Ada\ufe0f', 'Ada'],
    ['👩\u200b\u200d👩', '👩👩'],
    ['Ame\u0301lie', 'Amélie'],
    ['Ame\u200b\u0301lie', 'Amélie'],
    ['\nAda\n', 'Ada'],
    ['\u{1fae9}\u{1faff}', '\u{1fae9}\u{1faff}']
  ] as const)
    t.equal(displayName(typed), kept, named(typed))
})

t.test('a name that cannot be seen, or that reaches into other text, is refused', async (t) => {
  for (const typed of [
    '',
    ' ',
    '\u3000\u00a0',
    '\u200b',
    '\u3164\u115f',
    '\u2800',
    '\u0301',
    '\u200d\ufe0f',
    '\u{e0041}',
    '\u{1d159}'
  ])
    t.match(displayName(typed), { code: 'blank' }, named(typed))
  for (const sign of '\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069')
    t.match(displayName(`a${sign}b`), { code: 'bidi' }, named(sign))
  for (const sign of '\u0001\u0007\u001b\u007f\u0085\u009f\n\r\t\u2028\u2029\ufff9')
    t.match(displayName(`a${sign}b`), { code: 'control' }, named(sign))
  t.match(displayName(`a${'\u0301'.repeat(31)}`), { code: 'marks' })
  t.match(displayName(`a${'\u0301\u200b'.repeat(31)}`), { code: 'marks' }, 'also behind what nobody sees')
})

t.test('texts keep their lines', async (t) => {
  for (const [typed, kept] of [
    ['  code\n\tmore\n\n', '  code\n\tmore'],
    ['a\r\nb\rc\u2028d\ve\u0085f', 'a\nb\nc\nd\ne\nf'],
    ['a\u0007b\u001b[0m', 'ab[0m'],
    ['cafe\u0301', 'café'],
    ['soft\u00adhyphen and zero\u200bwidth', 'soft\u00adhyphen and zero\u200bwidth'],
    ['abc\u202edcba', 'abcdcba'],
    ['a \u2068שלום\u2069 b', 'a \u2068שלום\u2069 b'],
    ['a \u2068שלום', 'a שלום'],
    ['a \u2069b\u2068', 'a b'],
    ['a \u2068b\nc\u2069', 'a b\nc'],
    ['a \u202b\u2068b\u202c\u2069', 'a b'],
    ['hi\u{e0068}\u{e0069}', 'hi']
  ] as const)
    t.equal(text(typed), kept, named(typed))
  for (const typed of ['', ' \n\t ', '\u200b\u00ad', '\u0007', '\u0301']) {
    t.match(text(typed), { code: 'blank' }, named(typed))
    t.match(line(typed), { code: 'blank' })
    t.equal(bio(typed), '')
  }
  t.equal(line(' one\n two\t'), 'one  two')
  t.equal(bio(' I write.\nCode. '), 'I write.\nCode.')
})

t.test('tags are one whatever their case and however their accents are typed', async (t) => {
  for (const [typed, kept] of [
    ['cafe\u0301', 'café'],
    ['CAFÉ', 'café'],
    ['Sea\u200b', 'sea'],
    ['Ölbild', 'ölbild'],
    ['ΟΔΟΣ', 'οδος']
  ] as const)
    t.equal(tag(typed), kept, typed)
  t.match(tag('a b'), { code: 'pattern' })
  t.match(tag('\u200b'), { code: 'blank' })
  t.match(tag('a\u202eb'), { code: 'bidi' })
  t.same(tags(['Sea', 'sun', 'SEA', 'se\u00ada']), { tags: ['sea', 'sun'], faults: {} })
  t.match(tags(['sea', '\u200b', 'a#b']).faults, { 1: { code: 'blank' }, 2: { code: 'pattern' } })
})

t.test('members in NFC, before their lengths are looked at', async (t) => {
  const typed = { text: 'e\u0301', tags: ['e\u0301', 1, null], other: 'e\u0301', none: undefined }
  t.strictSame(withNfc(typed, ['text', 'tags', 'none', 'absent']), { ...typed, text: 'é', tags: ['é', 1, null] })
  t.equal(typed.text, 'e\u0301', 'what was given stays as it is')
  for (const none of [null, undefined, 'e\u0301', 1, ['e\u0301']]) t.equal(withNfc(none, ['text']), none)
  t.strictSame(withNfc({ text: { deep: 'e\u0301' } }, ['text']), { text: { deep: 'e\u0301' } })
})

t.test('what is kept is taken as it is the next time', async (t) => {
  for (const typed of [
    ...WITH_FUNCTION,
    'a\u200b\u0301',
    'x\u200d\u200b\ufe0f👩',
    '  A\u2068b',
    'İ',
    '\u1e9e',
    'ﬁ',
    '1\u200b\ufe0f\u20e3'
  ]) {
    for (const [what, take] of Object.entries({ displayName, tag, text, line, bio })) {
      const once = take(typed)
      if (typeof once === 'string' && once !== '') t.equal(take(once), once, `${what} ${named(typed)}`)
    }
  }
})
