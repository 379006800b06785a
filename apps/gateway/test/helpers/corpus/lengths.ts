import { type Aim, type Draft, MARKERS, opening, type Piece } from './parts.ts'

type Length = readonly [name: string, fields: (size: number) => string]

/** `Content-Length` in the forms in which servers have read different numbers. */
const LENGTHS: readonly Length[] = [
  ['plain', (n) => `Content-Length: ${n}\r\n`],
  ['no space', (n) => `Content-Length:${n}\r\n`],
  ['tab', (n) => `Content-Length:\t${n}\r\n`],
  ['two spaces', (n) => `Content-Length:  ${n}\r\n`],
  ['space behind', (n) => `Content-Length: ${n} \r\n`],
  ['tab behind', (n) => `Content-Length: ${n}\t\r\n`],
  ['space before the colon', (n) => `Content-Length : ${n}\r\n`],
  ['no colon', (n) => `Content-Length ${n}\r\n`],
  ['plus', (n) => `Content-Length: +${n}\r\n`],
  ['minus', (n) => `Content-Length: -${n}\r\n`],
  ['minus one', () => 'Content-Length: -1\r\n'],
  ['minus zero', () => 'Content-Length: -0\r\n'],
  ['hexadecimal', (n) => `Content-Length: 0x${n.toString(16)}\r\n`],
  ['octal', (n) => `Content-Length: 0o${n.toString(8)}\r\n`],
  ['underscore', (n) => `Content-Length: ${n}_0\r\n`],
  ['exponent', (n) => `Content-Length: ${n}e0\r\n`],
  ['fraction', (n) => `Content-Length: ${n}.0\r\n`],
  ['leading zeros', (n) => `Content-Length: 000${n}\r\n`],
  ['many leading zeros', (n) => `Content-Length: ${'0'.repeat(400)}${n}\r\n`],
  ['empty', () => 'Content-Length:\r\n'],
  ['only a space', () => 'Content-Length: \r\n'],
  ['huge', () => 'Content-Length: 99999999999999999999\r\n'],
  ['2^64 + n', (n) => `Content-Length: ${(2n ** 64n + BigInt(n)).toString()}\r\n`],
  ['2^32 + n', (n) => `Content-Length: ${(2n ** 32n + BigInt(n)).toString()}\r\n`],
  ['2^63', () => 'Content-Length: 9223372036854775808\r\n'],
  ['letters', () => 'Content-Length: five\r\n'],
  ['letters behind', (n) => `Content-Length: ${n}abc\r\n`],
  ['NaN', () => 'Content-Length: NaN\r\n'],
  ['quoted', (n) => `Content-Length: "${n}"\r\n`],
  ['a list of equals', (n) => `Content-Length: ${n}, ${n}\r\n`],
  ['a list of equals without space', (n) => `Content-Length: ${n},${n}\r\n`],
  ['a list with zero', (n) => `Content-Length: 0, ${n}\r\n`],
  ['trailing comma', (n) => `Content-Length: ${n},\r\n`],
  ['leading comma', (n) => `Content-Length: ,${n}\r\n`],
  ['two numbers', (n) => `Content-Length: ${n} ${n}\r\n`],
  ['a number within a number', (n) => `Content-Length: 1 ${n}\r\n`],
  ['NUL ahead', (n) => `Content-Length: \0${n}\r\n`],
  ['NUL behind', (n) => `Content-Length: ${n}\0\r\n`],
  ['VT behind', (n) => `Content-Length: ${n}\x0b\r\n`],
  ['VT ahead', (n) => `Content-Length:\x0b${n}\r\n`],
  ['FF behind', (n) => `Content-Length: ${n}\x0c\r\n`],
  ['NBSP behind', (n) => `Content-Length: ${n}\xa0\r\n`],
  ['digits of another script', () => 'Content-Length: \xd9\xa5\r\n'],
  ['full-width digits', () => 'Content-Length: \xef\xbc\x95\r\n'],
  ['folded', (n) => `Content-Length:\r\n ${n}\r\n`],
  ['folded within', (n) => `Content-Length: ${n}\r\n 0\r\n`],
  ['fold to another field', (n) => `x-a: b\r\n Content-Length: ${n}\r\n`],
  ['behind a bare LF', (n) => `x-a: b\nContent-Length: ${n}\r\n`],
  ['behind a bare CR', (n) => `x-a: b\rContent-Length: ${n}\r\n`],
  ['CR behind', (n) => `Content-Length: ${n}\r\r\n`],
  ['CR within', (n) => `Content-Length: ${n}\r0\r\n`],
  ['ended by LF', (n) => `Content-Length: ${n}\n`],
  ['underscore in the name', (n) => `Content_Length: ${n}\r\n`],
  ['space in the name', (n) => `Content Length: ${n}\r\n`],
  ['NUL in the name', (n) => `Content-Length\0: ${n}\r\n`],
  ['indented', (n) => ` Content-Length: ${n}\r\n`],
  ['as another length', (n) => `X-Content-Length: ${n}\r\n`],
  ['none', () => '']
]

/** The marker counted into the body, just not counted in, and not counted at all. */
const BODIES: readonly (readonly [name: string, size: (body: string, marker: string) => number])[] = [
  ['marker inside', (body, marker) => body.length + marker.length],
  ['marker behind', (body) => body.length],
  ['CL.0', () => 0]
]

const VALUES: readonly (readonly [name: string, value: (size: number) => string])[] = [
  ['0', () => '0'],
  ['n', (n) => String(n)],
  ['n + 1', (n) => String(n + 1)],
  ['0n', (n) => `0${n}`],
  ['+n', (n) => `+${n}`],
  ['nothing', () => ''],
  ['n, n', (n) => `${n}, ${n}`]
]

const BETWEEN: readonly Piece[] = [
  ['two lines', '\r\nContent-Length: '],
  ['a field between', '\r\nx-a: b\r\ncontent-length: '],
  ['a list', ', '],
  ['a fold', ',\r\n '],
  ['a bare LF', '\nContent-Length: '],
  ['a bare CR', '\rContent-Length: ']
]

/** One length in odd forms. */
export function* lengthDrafts(): Generator<Draft> {
  let turn = 0
  for (const [form, fields] of LENGTHS) {
    for (const [where, size] of BODIES) {
      for (const method of ['POST', ['GET', 'DELETE', 'HEAD'][turn % 3]!]) {
        const [marked, marker] = MARKERS[turn++ % MARKERS.length]!
        yield {
          name: `length: ${form}; ${where}; ${method}; ${marked}`,
          write(aim: Aim) {
            const hidden = marker(aim)
            return `${opening(aim, method)}${fields(size('x=abc', hidden))}\r\nx=abc${hidden}`
          }
        }
      }
    }
  }
}

/** CL.CL: two lengths, equal or not. */
export function* twoLengthDrafts(): Generator<Draft> {
  let turn = 0
  for (const [first, one] of VALUES) {
    for (const [second, other] of VALUES) {
      for (const [how, between] of BETWEEN) {
        const [marked, marker] = MARKERS[turn++ % MARKERS.length]!
        yield {
          name: `lengths: ${first} and ${second}; ${how}; ${marked}`,
          write: (aim: Aim) =>
            `${opening(aim)}Content-Length: ${one(5)}${between}${other(5)}\r\n\r\nx=abc${marker(aim)}`
        }
      }
    }
  }
}
