import { type Aim, chunk, type Draft, LAST_CHUNK, LINE_ENDS, MARKERS, type Piece } from './parts.ts'

/** A request taken apart, so that one of its parts can be written in another way. */
type Layout = { line: string; fields: string[]; body: string }

type Frame = readonly [name: string, lay: (aim: Aim, marker: string) => Layout]

const FRAMES: readonly Frame[] = [
  [
    'a length',
    (aim, marker) => ({ line: start(aim, 'POST'), fields: [`Content-Length: ${marker.length}`], body: marker })
  ],
  [
    'chunks',
    (aim, marker) => ({
      line: start(aim, 'POST'),
      fields: ['Transfer-Encoding: chunked'],
      body: chunk(marker) + LAST_CHUNK
    })
  ],
  ['no body', (aim, marker) => ({ line: start(aim, 'GET'), fields: [], body: marker })]
]

/** Ways to write `name: value` that are not `name: value`. */
const FORMS: readonly (readonly [name: string, write: (name: string, value: string) => string])[] = [
  ['space before the colon', (name, value) => `${name} : ${value}`],
  ['tab before the colon', (name, value) => `${name}\t: ${value}`],
  ['CR before the colon', (name, value) => `${name}\r: ${value}`],
  ['no colon', (name, value) => `${name} ${value}`],
  ['no name', (_name, value) => `: ${value}`],
  ['equals sign', (name, value) => `${name}=${value}`],
  ['folded value', (name, value) => `${name}:\r\n ${value}`],
  ['folded by tab', (name, value) => `${name}:\r\n\t${value}`],
  ['fold of nothing', (name, value) => `${name}: ${value}\r\n `],
  ['fold of a field', (name, value) => `${name}: ${value}\r\n x-b: c`],
  ['indented', (name, value) => ` ${name}: ${value}`],
  ['NUL in the value', (name, value) => `${name}: ${value}\0`],
  ['NUL in the name', (name, value) => `${name}\0: ${value}`],
  ['bell in the value', (name, value) => `${name}: ${value}\x07`],
  ['escape in the value', (name, value) => `${name}: \x1b${value}`],
  ['DEL in the value', (name, value) => `${name}: ${value}\x7f`],
  ['bare LF in the value', (name, value) => `${name}: ${value}\nx-b: c`],
  ['bare CR in the value', (name, value) => `${name}: ${value}\rx-b: c`],
  ['other bytes in the value', (name, value) => `${name}: ${value}\xff`],
  ['other bytes in the name', (name, value) => `${name}\xff: ${value}`],
  ['bracket in the name', (name, value) => `(${name}): ${value}`],
  ['slash in the name', (name, value) => `${name}/: ${value}`],
  ['double quotes', (name, value) => `"${name}": ${value}`],
  ['twice', (name, value) => `${name}: ${value}\r\n${name}: ${value}`],
  ['twice, differently', (name, value) => `${name}: ${value}\r\n${name}: 1`],
  ['empty', (name) => `${name}:`]
]

const FIELDS: readonly Piece[] = [
  ['Host', 'x'],
  ['Connection', 'keep-alive'],
  ['X-A', 'b'],
  ['Authorization', 'none'],
  ['Content-Type', 'text/plain'],
  ['X-Forwarded-For', '6.6.6.6']
]

/** Line ends other than CR LF at each line of a head. */
export function* lineEndDrafts(): Generator<Draft> {
  let turn = 0
  for (const [name, end] of LINE_ENDS) {
    for (const [frame, lay] of FRAMES) {
      for (const place of ['the request line', 'host', 'the first field', 'the last field', 'the head', 'each line']) {
        const [marked, marker] = MARKERS[turn++ % MARKERS.length]!
        yield {
          name: `line end: ${place} by ${name}; ${frame}; ${marked}`,
          write(aim: Aim) {
            const { line, fields, body } = lay(aim, marker(aim))
            const lines = [line, 'Host: x', 'x-a: b', ...fields, 'x-z: y', '']
            const places = ['the request line', 'host', 'the first field']
            const at = place === 'the last field' ? lines.length - 2 : place === 'the head' ? lines.length - 1 : -1
            return (
              lines
                .map((text, i) => text + (place === 'each line' || places[i] === place || i === at ? end : '\r\n'))
                .join('') + body
            )
          }
        }
      }
    }
  }
}

/** Fields in forms that some servers drop, some join and some read. */
export function* fieldDrafts(): Generator<Draft> {
  let turn = 0
  for (const [field, value] of FIELDS) {
    for (const [form, write] of FORMS) {
      const [frame, lay] = FRAMES[turn % FRAMES.length]!
      const [marked, marker] = MARKERS[(turn++ >> 1) % MARKERS.length]!
      yield {
        name: `field: ${field}; ${form}; ${frame}; ${marked}`,
        write(aim: Aim) {
          const { line, fields, body } = lay(aim, marker(aim))
          const host = field === 'Host' ? [] : ['Host: x']
          return [line, ...host, write(field, value), ...fields, '', body].join('\r\n')
        }
      }
    }
  }
}

/** More and longer fields than anybody takes. */
export function* oversizedDrafts(): Generator<Draft> {
  const sizes: readonly Piece[] = [
    ['a value of 13,000 bytes', `x-a: ${'b'.repeat(13_000)}`],
    ['a value at the limit', `x-a: ${'b'.repeat(14_250)}`],
    ['a value of 16,000 bytes', `x-a: ${'b'.repeat(16_000)}`],
    ['a value of 70,000 bytes', `x-a: ${'b'.repeat(70_000)}`],
    ['a name of 13,000 bytes', `x-${'a'.repeat(13_000)}: b`],
    ['a name of 70,000 bytes', `x-${'a'.repeat(70_000)}: b`],
    ['900 fields', Array.from({ length: 900 }, (_, i) => `a${i}: b`).join('\r\n')],
    ['1,990 fields', Array.from({ length: 1_990 }, () => 'a:').join('\r\n')],
    ['2,100 fields', Array.from({ length: 2_100 }, () => 'a:').join('\r\n')],
    ['3,500 fields', Array.from({ length: 3_500 }, () => 'a:').join('\r\n')]
  ]
  let turn = 0
  for (const [size, large] of sizes) {
    for (const [frame, lay] of FRAMES) {
      const [marked, marker] = MARKERS[turn++ % MARKERS.length]!
      yield {
        // The length comes last, where a server that stops counting fields would not see it.
        name: `oversized: ${size}; ${frame}; ${marked}`,
        write(aim: Aim) {
          const { line, fields, body } = lay(aim, marker(aim))
          return [line, 'Host: x', large, ...fields, '', body].join('\r\n')
        }
      }
    }
  }
}

function start(aim: Aim, method: string): string {
  return `${method} ${aim.prefix}/first-${aim.id} HTTP/1.1`
}
