import { type Aim, chunk, type Draft, LAST_CHUNK, LINE_ENDS, MARKERS, opening, type Piece } from './parts.ts'

/** The line of a chunk with `n` bytes. */
type SizeLine = readonly [name: string, line: (n: number) => string]

const SIZE_LINES: readonly SizeLine[] = [
  ['plain', (n) => hex(n)],
  ['upper case', (n) => hex(n).toUpperCase()],
  ['leading zero', (n) => `0${hex(n)}`],
  ['many leading zeros', (n) => `${'0'.repeat(300)}${hex(n)}`],
  ['prefixed', (n) => `0x${hex(n)}`],
  ['plus', (n) => `+${hex(n)}`],
  ['minus', (n) => `-${hex(n)}`],
  ['decimal point', (n) => `${hex(n)}.0`],
  ['underscore', (n) => `${hex(n)}_0`],
  ['empty', () => ''],
  ['letters', () => 'xyz'],
  ['letters behind', (n) => `${hex(n)}xyz`],
  ['quoted', (n) => `"${hex(n)}"`],
  ['space ahead', (n) => ` ${hex(n)}`],
  ['tab ahead', (n) => `\t${hex(n)}`],
  ['space behind', (n) => `${hex(n)} `],
  ['tab behind', (n) => `${hex(n)}\t`],
  ['space within', (n) => `${hex(n)} 0`],
  ['VT behind', (n) => `${hex(n)}\x0b`],
  ['NUL behind', (n) => `${hex(n)}\0`],
  ['NUL ahead', (n) => `\0${hex(n)}`],
  ['2^32 + n', (n) => (2n ** 32n + BigInt(n)).toString(16)],
  ['2^64 + n', (n) => (2n ** 64n + BigInt(n)).toString(16)],
  ['2^64 - 1', () => 'ffffffffffffffff'],
  ['2^63', () => '8000000000000000'],
  ['2^31', () => '80000000'],
  ['endless', () => 'f'.repeat(200)],
  ['one too few', (n) => hex(n - 1)],
  ['one too many', (n) => hex(n + 1)],
  ['two too many', (n) => hex(n + 2)],
  ['extension', (n) => `${hex(n)};a`],
  ['extension with a value', (n) => `${hex(n)};a=b`],
  ['extension with a quoted value', (n) => `${hex(n)};a="b c"`],
  ['extension with quoted CR LF', (n) => `${hex(n)};a="\r\n0\r\n\r\n"`],
  ['extension with an open quote', (n) => `${hex(n)};a="b`],
  ['extension with spaces', (n) => `${hex(n)} ; a = b`],
  ['extension without a name', (n) => `${hex(n)};`],
  ['extension of only a value', (n) => `${hex(n)};=b`],
  ['two extensions', (n) => `${hex(n)};a=b;c=d`],
  ['extension with NUL', (n) => `${hex(n)};a=\0`],
  ['extension with bare LF', (n) => `${hex(n)};a\nb`],
  ['extension with bare CR', (n) => `${hex(n)};a\rb`],
  ['extension ended by LF', (n) => `${hex(n)};\n${'x'.repeat(4)}`],
  ['extension of other bytes', (n) => `${hex(n)};\xff\xfe`],
  ['long extension', (n) => `${hex(n)};a=${'b'.repeat(20_000)}`],
  ['comma', (n) => `${hex(n)},${hex(n)}`],
  ['colon', (n) => `${hex(n)}:`],
  ['full-width digits', () => '\xef\xbc\x95']
]

const LAST_LINES: readonly Piece[] = [
  ['zeros', '0000'],
  ['many zeros', '0'.repeat(200)],
  ['minus', '-0'],
  ['plus', '+0'],
  ['prefixed', '0x0'],
  ['space behind', '0 '],
  ['extension', '0;a=b'],
  ['empty', ''],
  ['NUL behind', '0\0'],
  ['semicolon', '0;'],
  ['letters', '0g'],
  ['full-width', '\xef\xbc\x90']
]

const TRAILERS: readonly Piece[] = [
  ['a field', 'x-a: b\r\n'],
  ['content-length', 'Content-Length: 60\r\n'],
  ['content-length zero', 'Content-Length: 0\r\n'],
  ['transfer-encoding', 'Transfer-Encoding: chunked\r\n'],
  ['host', 'Host: internal\r\n'],
  ['connection: close', 'Connection: close\r\n'],
  ['authorization', 'Authorization: Bearer x\r\n'],
  ['x-forwarded-for', 'X-Forwarded-For: 6.6.6.6\r\n'],
  ['expect', 'Expect: 100-continue\r\n'],
  ['upgrade', 'Upgrade: h2c\r\n'],
  ['no colon', 'x-a b\r\n'],
  ['space before the colon', 'x-a : b\r\n'],
  ['folded', 'x-a: b\r\n c\r\n'],
  ['indented', ' x-a: b\r\n'],
  ['NUL', 'x-a: \0\r\n'],
  ['NUL in the name', 'x\0a: b\r\n'],
  ['bare LF', 'x-a: b\n'],
  ['bare CR', 'x-a: b\r'],
  ['CR CR LF', 'x-a: b\r\r\n'],
  ['empty name', ': b\r\n'],
  ['a request line', 'GET / HTTP/1.1\r\n'],
  ['many', 'x-a: b\r\n'.repeat(400)],
  ['long', `x-a: ${'b'.repeat(20_000)}\r\n`]
]

const PLACES = ['size', 'data', 'last size', 'trailer', 'end'] as const

/** Chunked bodies that two readers end at different places. */
export function* chunkDrafts(): Generator<Draft> {
  let turn = 0
  const draft = (name: string, body: (marker: string) => string, method = 'POST'): Draft => {
    const [marked, marker] = MARKERS[turn++ % MARKERS.length]!
    return {
      name: `chunk: ${name}; ${method}; ${marked}`,
      write: (aim: Aim) => `${opening(aim, method)}transfer-encoding: chunked\r\n\r\n${body(marker(aim))}`
    }
  }
  for (const [name, line] of SIZE_LINES) {
    yield draft(`${name}; marker inside`, (marker) => chunk(marker, line(marker.length)) + LAST_CHUNK)
    yield draft(`${name}; marker behind`, (marker) => `${chunk('abcde', line(5))}${LAST_CHUNK}${marker}`, 'PUT')
    yield draft(`${name}; second chunk`, (marker) => chunk('abc') + chunk(marker, line(marker.length)) + LAST_CHUNK)
  }
  for (const [name, line] of LAST_LINES) {
    yield draft(`last: ${name}`, (marker) => `${chunk('abc')}${line}\r\n\r\n${marker}`)
    yield draft(`last: ${name}; alone`, (marker) => `${line}\r\n\r\n${marker}`, 'DELETE')
  }
  for (const [name, trailer] of TRAILERS) {
    yield draft(`trailer: ${name}`, (marker) => `${chunk('abc')}0\r\n${trailer}\r\n${marker}`)
    yield draft(`trailer: ${name}; marker for the end`, (marker) => `${chunk('abc')}0\r\n${trailer}${marker}`)
  }
  for (const [name, end] of LINE_ENDS) {
    for (const place of PLACES) {
      const at = (where: (typeof PLACES)[number]) => (where === place ? end : '\r\n')
      const trailer = place === 'trailer' ? `x-a: b${end}` : ''
      const last = `0${at('last size')}${trailer}${at('end')}`
      yield draft(
        `${place} ended by ${name}; marker inside`,
        (marker) => `${hex(marker.length)}${at('size')}${marker}${at('data')}${last}`
      )
      yield draft(
        `${place} ended by ${name}; marker behind`,
        (marker) => `5${at('size')}abcde${at('data')}${last}${marker}`
      )
    }
  }
}

function hex(n: number): string {
  return n.toString(16)
}
