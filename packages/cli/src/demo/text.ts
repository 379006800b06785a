const ADDRESS = /[A-Za-z0-9._%+-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.)+[A-Za-z]{2,24}/g

/** Replaces every mail address in a text, so that nothing in the demo data can ever be mailed. */
export function hideAddresses(text: string, hash: (address: string) => string): string {
  return text.replace(ADDRESS, (address) => `${hash(address.toLowerCase())}@demo.invalid`)
}

/** Text that JSON and databases take: no NUL and other control characters, no lone surrogates, `\n` line ends, no trailing blanks. */
export function cleanText(text: string): string {
  return (
    text
      .replace(/\r\n?/g, '\n')
      .replace(CONTROLS, '')
      .toWellFormed()
      .replace(/[ \t\u00a0]+$/gm, '')
      .replace(/\n{4,}/g, '\n\n\n')
      .replace(/^\n+|\s+$/g, '')
      // As content keeps it, so that what is there already is known again.
      .normalize('NFC')
  )
}

/** One line of clean text. */
export function cleanLine(text: string): string {
  return cleanText(text).replace(/\s+/g, ' ').trim()
}

/** Control characters but line ends and tabs, marks that turn the direction of writing, byte order marks. */
const CONTROLS = /(?![\n\t])[\p{Cc}\p{Bidi_Control}\ufeff]/gu

/**
 * Cuts at the last paragraph, line or word that fits, and shows it with an ellipsis.
 * @param max UTF-16 units the result may have
 */
export function cut(text: string, max: number): string {
  if (text.length <= max) return text
  const head = text.slice(0, max - 1)
  for (const boundary of ['\n\n', '\n', ' ']) {
    const at = head.lastIndexOf(boundary)
    if (at > max * 0.7) return `${head.slice(0, at).trimEnd()}…`
  }
  return `${head.toWellFormed().replace(/\ufffd$/, '')}…`
}

const MAX_HTML = 600_000
const BREAKS = /<(?:br|hr|\/?(?:p|div|tr|table|ul|ol|li|h[1-6]|blockquote|pre|center|form))\b[^>]*>/gi
const WINDOWS = new TextDecoder('windows-1252')
const ENTITIES: Readonly<Record<string, string>> = {
  amp: '&',
  lt: '<',
  gt: '>',
  quot: '"',
  apos: "'",
  nbsp: ' ',
  copy: '©',
  reg: '®',
  trade: '™',
  mdash: '—',
  ndash: '–',
  hellip: '…',
  lsquo: '‘',
  rsquo: '’',
  ldquo: '“',
  rdquo: '”',
  bull: '•',
  middot: '·',
  laquo: '«',
  raquo: '»',
  pound: '£',
  euro: '€',
  eacute: 'é'
}

/** The readable text of an HTML mail: good enough to be read in a feed, no more. */
export function htmlToText(html: string): string {
  return html
    .slice(0, MAX_HTML)
    .replace(/<!--[\s\S]*?(?:-->|$)/g, '')
    .replace(/<(style|script|head|title)\b[\s\S]*?(?:<\/\1\s*>|$)/gi, '')
    .replace(/\s+/g, ' ')
    .replace(/<li\b[^>]*>/gi, '\n• ')
    .replace(BREAKS, '\n')
    .replace(/<\/t[dh]\s*>/gi, ' ')
    .replace(/<[^>]*>/g, '')
    .replace(/&(#x[0-9a-f]{1,8}|#\d{1,10}|[a-z]{2,8});?/gi, decodeEntity)
    .replace(/ *\n */g, '\n')
    .replace(/ {2,}/g, ' ')
    .replace(/\n{3,}/g, '\n\n')
}

function decodeEntity(whole: string, name: string): string {
  if (!name.startsWith('#')) return ENTITIES[name.toLowerCase()] ?? whole
  const code = /^#x/i.test(name) ? Number.parseInt(name.slice(2), 16) : Number(name.slice(1))
  if (code >= 128 && code < 160) return WINDOWS.decode(Uint8Array.of(code)) // what browsers take these for
  return code > 31 && code <= 0x10ffff ? String.fromCodePoint(code) : ' '
}
