/**
 * Marks in a row that are normalised: normalising sorts them at the square of their number, and no language has more (UAX #15, stream-safe
 * text). The two half-width Japanese voicing signs are letters that NFKC turns into marks.
 */
const TOO_MANY_MARKS = /[\p{M}\uFF9E\uFF9F]{31}/u

export function hasTooManyMarks(text: string): boolean {
  return TOO_MANY_MARKS.test(text)
}

/** The text in a normal form; as it is where more than 30 marks stand in a row, so that the cost is linear. */
export function normal(text: string, form: 'NFC' | 'NFKC'): string {
  return hasTooManyMarks(text) ? text : text.normalize(form)
}

/** Cursive and Indic scripts, where ZWJ and ZWNJ say how the letters on both sides of them join (UAX #31, 2.3). */
const JOINING = [
  'Adlam Arabic Balinese Bengali Brahmi Chakma Devanagari Grantha Gujarati Gurmukhi Hanifi_Rohingya Javanese Kannada Khmer Lao Limbu',
  'Malayalam Mandaic Manichaean Mongolian Myanmar Newa Nko Oriya Phags_Pa Sinhala Sogdian Sundanese Syriac Tamil Telugu Thai Tibetan'
]
  .join(' ')
  .split(' ')
  .map((script) => `\\p{Script=${script}}`)
  .join('')

/** A flag of a region: a black flag, letters as invisible tag characters, and their end (UTS #51). */
const FLAG_TAGS = '(?<=\\u{1F3F4})[\\u{E0020}-\\u{E007E}]{1,8}\\u{E007F}'

/** Invisible characters where they change what is seen. */
const WITH_FUNCTION = [
  `(?<=[${JOINING}])[\\u200C\\u200D](?=[${JOINING}])`,
  // Emoji: joined to one picture, shown as text or in colours, keys of a telephone.
  '(?<=[\\p{Extended_Pictographic}\\u{1F3FB}-\\u{1F3FF}]\\uFE0F?)\\u200D(?=\\p{Extended_Pictographic})',
  '(?<=\\p{Extended_Pictographic})[\\uFE0E\\uFE0F]',
  '(?<=[0-9#*])\\uFE0F(?=\\u20E3)',
  FLAG_TAGS,
  // Variants of a sign of which names are written in one: Han, Mongolian, Myanmar, Phags-pa.
  '(?<=[\\p{Unified_Ideograph}\\p{Script=Myanmar}\\p{Script=Phags_Pa}])[\\uFE00-\\uFE0F\\u{E0100}-\\u{E01EF}]',
  '(?<=\\p{Script=Mongolian})[\\u180B-\\u180D\\u180F]'
].join('|')

const INVISIBLE = new RegExp(`(${WITH_FUNCTION})|\\p{Default_Ignorable_Code_Point}`, 'gu')
const ALL_INVISIBLE = /\p{Default_Ignorable_Code_Point}/gu
const HIDDEN_TAGS = new RegExp(`(${FLAG_TAGS})|[\\u{E0000}-\\u{E007F}]`, 'gu')

/** Without what nobody sees, but for joiners and variation selectors where they have a function. */
export function withoutInvisible(text: string): string {
  return text.replace(INVISIBLE, (_, useful: string | undefined) => useful ?? '')
}

/** Without anything that nobody sees: for comparing. */
export function withoutAnyInvisible(text: string): string {
  return text.replace(ALL_INVISIBLE, '')
}

/** Without tag characters that are not part of a flag: they carry text that no reader sees. */
export function withoutHiddenTags(text: string): string {
  return text.replace(HIDDEN_TAGS, (_, useful: string | undefined) => useful ?? '')
}

const WHITE_SPACE = /^\p{White_Space}$/u

/** Without white space (Unicode White_Space, which has more than `trim`) at the end. Linear, which a pattern with `+$` is not. */
export function trimEnd(text: string): string {
  let end = text.length
  while (end > 0 && WHITE_SPACE.test(text[end - 1]!)) end--
  return text.slice(0, end)
}

/** Without white space at both ends. */
export function trim(text: string): string {
  let begin = 0
  while (begin < text.length && WHITE_SPACE.test(text[begin]!)) begin++
  return trimEnd(text.slice(begin))
}

/**
 * Something that can be seen: no white space, invisible or control character, mark that has nothing to stand on, empty braille cell or
 * musical sign. What this version of Unicode does not know yet (a new emoji) counts as seen.
 */
const VISIBLE = /[^\p{White_Space}\p{Default_Ignorable_Code_Point}\p{Cc}\p{M}\u2800\u{1D159}\uFFF9-\uFFFB]/u

export function isBlank(text: string): boolean {
  return !VISIBLE.test(text)
}

/** Control characters, separators of lines, and marks of interlinear annotations. */
const CONTROL = /[\p{Cc}\u2028\u2029\uFFF9-\uFFFB]/u

export function hasControl(text: string): boolean {
  return CONTROL.test(text)
}

/** Embeddings, overrides and isolates: they turn the direction of what stands after them, also of what somebody else wrote. */
const BIDI = /[\u202A-\u202E\u2066-\u2069]/u

export function hasBidi(text: string): boolean {
  return BIDI.test(text)
}

const BIDI_ALL = /[\u202A-\u202E\u2066-\u2069]/g
const OVERRIDES = /[\u202D\u202E]/
const BEGINS = new Map([
  ['\u202A', '\u202C'],
  ['\u202B', '\u202C'],
  ['\u2066', '\u2069'],
  ['\u2067', '\u2069'],
  ['\u2068', '\u2069']
])

/**
 * Embeddings and isolates stay where each is ended in its line, as keyboards for right-to-left scripts write them; with an override, or one that
 * is left open, all are taken out.
 */
export function withBalancedBidi(text: string): string {
  if (!BIDI.test(text)) return text
  if (!OVERRIDES.test(text) && text.split('\n').every(isBalanced)) return text
  return text.replace(BIDI_ALL, '')
}

function isBalanced(line: string): boolean {
  const open: string[] = []
  for (const [sign] of line.matchAll(BIDI_ALL)) {
    const end = BEGINS.get(sign)
    if (end !== undefined) open.push(end)
    else if (open.pop() !== sign) return false
  }
  return open.length === 0
}

/** Line ends as one `\n`, whichever system or word processor wrote them; other control characters but tabs are taken out. */
export function withPlainLines(text: string): string {
  return text.replace(/\r\n?|[\v\f\u0085\u2028\u2029]/g, '\n').replace(/[^\P{Cc}\n\t]|[\uFFF9-\uFFFB]/gu, '')
}
