import t from 'tap'
import {
  bio,
  displayName,
  email,
  emailKey,
  line,
  loginKey,
  normal,
  tag,
  text,
  tidy,
  usernameKey,
  withNfc
} from '../src/index.ts'

const N = 300_000
/** Where a pattern or a loop is quadratic in their length, any of these runs into the time limit of the test. */
const BOMBS: Record<string, string> = {
  'marks in the wrong order': `a${'\u0301\u0316'.repeat(N)}`,
  'marks in the wrong order behind what is taken out': `a${'\u0301\u200b\u0316\u0001'.repeat(N)}`,
  'voicing signs that NFKC makes marks of': `a${'\u0301\uff9e'.repeat(N)}`,
  'a character that NFKC makes eighteen of': '\ufdfa'.repeat(N),
  'spaces before something': `a${' '.repeat(N)}b`,
  'spaces and what nobody sees': ' \u200b'.repeat(N),
  joiners: '👩\u200d'.repeat(N),
  'tags of flags': `\u{1f3f4}${'\u{e0041}'.repeat(N)}`,
  isolates: '\u2068'.repeat(N),
  'isolates that are ended': `${'\u2068'.repeat(N)}${'\u2069'.repeat(N)}`,
  dots: `a@${'.'.repeat(N)}`,
  ats: '@'.repeat(N),
  labels: `a@${'ü.'.repeat(N)}com`
}

t.test('bombs cost no more than their length', async (t) => {
  // Sorting marks is the one thing here whose cost grows with a square, and the engine does it: so what it is given is looked at.
  const { normalize } = String.prototype
  let worst = 0
  String.prototype.normalize = function (form) {
    for (const [run] of this.matchAll(/[\p{M}\uff9e\uff9f]+/gu)) worst = Math.max(worst, run.length)
    return normalize.call(this, form)
  }
  t.teardown(() => {
    String.prototype.normalize = normalize
  })
  const nfc = (typed: string) => withNfc({ text: typed, tags: [typed] }, ['text', 'tags'])
  const takes = { bio, displayName, email, emailKey, line, loginKey, nfc, tag, text, tidy, usernameKey }
  for (const [name, bomb] of Object.entries(BOMBS)) {
    for (const [what, take] of Object.entries(takes)) {
      take(bomb)
      t.ok(worst <= 60, `${what}: ${name}: at most 30 marks in a row are sorted`, { worst })
    }
  }
})

t.test('no character that is sorted when it is normalised escapes the bound of marks', async (t) => {
  const escaped: string[] = []
  for (let code = 0; code < 0x110000; code++) {
    if (code >= 0xd800 && code < 0xe000) continue
    const sign = String.fromCodePoint(code)
    // U+0334 is sorted before all other marks but its own class; `normal` leaves alone what has more than 30 marks.
    const sorted = `${sign}\u0334`.normalize('NFKD').startsWith('\u0334') && code !== 0x334
    if (sorted && normal(sign.repeat(31), 'NFKC') !== sign.repeat(31)) escaped.push(code.toString(16))
  }
  t.same(escaped, [])
  t.equal(normal('e\u0301', 'NFC'), 'é')
})
