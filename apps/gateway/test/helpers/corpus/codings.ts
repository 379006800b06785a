import { type Aim, chunk, type Draft, LAST_CHUNK, MARKERS, opening, type Piece } from './parts.ts'

/** `Transfer-Encoding` in the forms by which one of two servers was ever made to overlook it, or to see it where it is not. */
const CODINGS: readonly Piece[] = [
  ['plain', 'Transfer-Encoding: chunked\r\n'],
  ['upper case', 'TRANSFER-ENCODING: CHUNKED\r\n'],
  ['mixed case', 'tRaNsFeR-eNcOdInG: cHuNkEd\r\n'],
  ['no space', 'Transfer-Encoding:chunked\r\n'],
  ['two spaces', 'Transfer-Encoding:  chunked\r\n'],
  ['tab ahead', 'Transfer-Encoding:\tchunked\r\n'],
  ['tabs around', 'Transfer-Encoding: \tchunked\t\r\n'],
  ['space behind', 'Transfer-Encoding: chunked \r\n'],
  ['space before the colon', 'Transfer-Encoding : chunked\r\n'],
  ['tab before the colon', 'Transfer-Encoding\t: chunked\r\n'],
  ['no colon', 'Transfer-Encoding chunked\r\n'],
  ['two colons', 'Transfer-Encoding:: chunked\r\n'],
  ['indented', ' Transfer-Encoding: chunked\r\n'],
  ['empty', 'Transfer-Encoding: \r\n'],
  ['identity', 'Transfer-Encoding: identity\r\n'],
  ['xchunked', 'Transfer-Encoding: xchunked\r\n'],
  ['chunkedx', 'Transfer-Encoding: chunkedx\r\n'],
  ['chunke', 'Transfer-Encoding: chunke\r\n'],
  ['a list with identity behind', 'Transfer-Encoding: chunked, identity\r\n'],
  ['a list with identity ahead', 'Transfer-Encoding: identity, chunked\r\n'],
  ['a list with gzip ahead', 'Transfer-Encoding: gzip, chunked\r\n'],
  ['a list with gzip behind', 'Transfer-Encoding: chunked, gzip\r\n'],
  ['a list of equals', 'Transfer-Encoding: chunked, chunked\r\n'],
  ['a list without space', 'Transfer-Encoding: chunked,chunked\r\n'],
  ['a list by semicolon', 'Transfer-Encoding: identity; chunked\r\n'],
  ['a list by space', 'Transfer-Encoding: identity chunked\r\n'],
  ['trailing comma', 'Transfer-Encoding: chunked,\r\n'],
  ['leading comma', 'Transfer-Encoding: ,chunked\r\n'],
  ['a parameter', 'Transfer-Encoding: chunked;q=1\r\n'],
  ['an empty parameter', 'Transfer-Encoding: chunked;\r\n'],
  ['double quotes', 'Transfer-Encoding: "chunked"\r\n'],
  ['single quotes', "Transfer-Encoding: 'chunked'\r\n"],
  ['brackets', 'Transfer-Encoding: (x) chunked\r\n'],
  ['NUL ahead', 'Transfer-Encoding: \0chunked\r\n'],
  ['NUL within', 'Transfer-Encoding: chu\0nked\r\n'],
  ['NUL behind', 'Transfer-Encoding: chunked\0\r\n'],
  ['NUL in the name', 'Transfer-Encoding\0: chunked\r\n'],
  ['VT ahead', 'Transfer-Encoding: \x0bchunked\r\n'],
  ['VT behind', 'Transfer-Encoding: chunked\x0b\r\n'],
  ['VT for the space', 'Transfer-Encoding:\x0bchunked\r\n'],
  ['FF ahead', 'Transfer-Encoding: \x0cchunked\r\n'],
  ['FF behind', 'Transfer-Encoding: chunked\x0c\r\n'],
  ['DEL behind', 'Transfer-Encoding: chunked\x7f\r\n'],
  ['BS behind', 'Transfer-Encoding: chunkedd\x08\r\n'],
  ['NEL ahead', 'Transfer-Encoding: \x85chunked\r\n'],
  ['NBSP ahead', 'Transfer-Encoding: \xa0chunked\r\n'],
  ['NBSP behind', 'Transfer-Encoding: chunked\xa0\r\n'],
  ['BOM ahead', 'Transfer-Encoding: \xef\xbb\xbfchunked\r\n'],
  ['Kelvin sign', 'Transfer-Encoding: chun\xe2\x84\xaaed\r\n'],
  ['long s in the name', 'Tran\xc5\xbffer-Encoding: chunked\r\n'],
  ['underscore', 'Transfer_Encoding: chunked\r\n'],
  ['space in the name', 'Transfer Encoding: chunked\r\n'],
  ['percent in the name', 'Transfer%2dEncoding: chunked\r\n'],
  ['soft hyphen', 'Transfer\xadEncoding: chunked\r\n'],
  ['folded value', 'Transfer-Encoding:\r\n chunked\r\n'],
  ['folded value by tab', 'Transfer-Encoding:\r\n\tchunked\r\n'],
  ['folded list', 'Transfer-Encoding: identity,\r\n chunked\r\n'],
  ['fold behind', 'Transfer-Encoding: chunked\r\n \r\n'],
  ['fold to another field', 'x-a: b\r\n Transfer-Encoding: chunked\r\n'],
  ['fold to another field by tab', 'x-a: b\r\n\tTransfer-Encoding: chunked\r\n'],
  ['folded by LF', 'Transfer-Encoding:\n chunked\r\n'],
  ['behind a bare LF', 'x-a: b\nTransfer-Encoding: chunked\r\n'],
  ['behind a bare CR', 'x-a: b\rTransfer-Encoding: chunked\r\n'],
  ['behind LF CR', 'x-a: b\n\rTransfer-Encoding: chunked\r\n'],
  ['ended by LF', 'Transfer-Encoding: chunked\n'],
  ['ended by CR', 'Transfer-Encoding: chunked\r'],
  ['CR behind', 'Transfer-Encoding: chunked\r\r\n'],
  ['name ended by CR LF', 'Transfer-Encoding\r\n: chunked\r\n'],
  ['twice', 'Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n'],
  ['twice, identity behind', 'Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n'],
  ['twice, identity ahead', 'Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n'],
  ['twice, one of another form', 'Transfer-Encoding: chunked\r\nTransfer-encoding: x\r\n'],
  ['twice, one empty', 'Transfer-Encoding: \r\nTransfer-Encoding: chunked\r\n'],
  ['twice, one obscured', 'Transfer-Encoding : x\r\nTransfer-Encoding: chunked\r\n'],
  ['as a content coding', 'Content-Encoding: chunked\r\n'],
  ['as TE', 'TE: chunked\r\n'],
  ['with trailers announced', 'Trailer: Content-Length\r\nTransfer-Encoding: chunked\r\n']
]

/** How the two lengths stand to each other and where the marker hides: fields ahead of and behind the coding, and the body. */
const SHAPES: readonly (readonly [
  name: string,
  lay: (marker: string) => { ahead: string; behind: string; body: string }
])[] = [
  ['CL.TE', (marker) => framed('', length(LAST_CHUNK + marker), LAST_CHUNK + marker)],
  ['CL.TE, length first', (marker) => framed(length(LAST_CHUNK + marker), '', LAST_CHUNK + marker)],
  ['TE.CL', (marker) => framed('', firstLine(marker), chunk(marker) + LAST_CHUNK)],
  ['TE.CL, length first', (marker) => framed(firstLine(marker), '', chunk(marker) + LAST_CHUNK)],
  ['TE.0', (marker) => framed('', 'content-length: 0\r\n', chunk(marker) + LAST_CHUNK)],
  ['TE, marker behind', (marker) => framed('', '', LAST_CHUNK + marker)],
  ['TE, marker in a chunk', (marker) => framed('', '', chunk(marker) + LAST_CHUNK)],
  ['TE between two lengths', (marker) => framed(length(LAST_CHUNK), length(LAST_CHUNK + marker), LAST_CHUNK + marker)]
]

function framed(ahead: string, behind: string, body: string) {
  return { ahead, behind, body }
}

function length(body: string): string {
  return `content-length: ${body.length}\r\n`
}

/** A length that ends behind the first chunk's size, so that who goes by it takes the chunk itself for the next request. */
function firstLine(marker: string): string {
  return `content-length: ${marker.length.toString(16).length + 2}\r\n`
}

/** CL.TE, TE.CL, TE.TE and their kin. */
export function* codingDrafts(): Generator<Draft> {
  let turn = 0
  for (const [coding, fields] of CODINGS) {
    for (const [shape, lay] of SHAPES) {
      for (const [method, version] of requestLines(turn)) {
        const [marked, marker] = MARKERS[turn++ % MARKERS.length]!
        yield {
          name: `coding: ${coding}; ${shape}; ${method} ${version}; ${marked}`,
          write(aim: Aim) {
            const { ahead, behind, body } = lay(marker(aim))
            return `${opening(aim, method, version)}${ahead}${fields}${behind}\r\n${body}`
          }
        }
      }
    }
  }
}

/** A POST always, and of the others, which matter less, one in turn. */
function requestLines(turn: number): readonly (readonly [method: string, version: string])[] {
  const others = [
    ['GET', 'HTTP/1.1'],
    ['POST', 'HTTP/1.0'],
    ['DELETE', 'HTTP/1.1']
  ] as const
  return [['POST', 'HTTP/1.1'], others[(turn >> 1) % others.length]!]
}
