import { chunkDrafts } from './corpus/chunks.ts'
import { codingDrafts } from './corpus/codings.ts'
import { fieldDrafts, lineEndDrafts, oversizedDrafts } from './corpus/fields.ts'
import { lengthDrafts, twoLengthDrafts } from './corpus/lengths.ts'
import type { Aim, Draft } from './corpus/parts.ts'
import { requestDrafts } from './corpus/requests.ts'

export type { Aim } from './corpus/parts.ts'

/** One attack: what a client sends on one connection. */
export type Attack = {
  name: string
  /** The bytes for an aim, in the pieces in which they are sent. Each attack ends with a request to close the connection. */
  write(aim: Aim): Buffer[]
}

const ANY: Aim = { prefix: '/v1/posts', neighbour: '/v1/users', id: '000000' }
/** Bytes that have been taken for something else. */
const NASTY = [
  '\r',
  '\n',
  '\r\n',
  '\0',
  ' ',
  '\t',
  '\x0b',
  '\x0c',
  '\x85',
  '\xa0',
  ':',
  ';',
  ',',
  '0',
  '-',
  '+',
  'x',
  '"'
]

/**
 * The attacks by construction, each at least once as it stands, and `mutations` more, made of them by changing a few bytes anywhere.
 * The same seed gives the same corpus; no two attacks are the same bytes.
 */
export function smugglingCorpus(seed: number, mutations: number): Attack[] {
  const random = mulberry32(seed)
  const drafts: Draft[] = [
    ...codingDrafts(),
    ...lengthDrafts(),
    ...twoLengthDrafts(),
    ...chunkDrafts(),
    ...lineEndDrafts(),
    ...fieldDrafts(),
    ...oversizedDrafts(),
    ...requestDrafts()
  ]
  const attacks = new Map<string, Attack>()
  const add = (draft: Draft) => {
    const text = draft.write(ANY)
    if (!attacks.has(text)) attacks.set(text, { name: draft.name, write: inPieces(draft, random) })
  }
  for (const draft of drafts) add(draft)
  const plain = attacks.size
  while (attacks.size < plain + mutations) add(mutate(drafts[Math.floor(random() * drafts.length)]!, random))
  return [...attacks.values()]
}

/** Cuts most attacks somewhere, so that a parser meets them in several reads. */
function inPieces(draft: Draft, random: () => number): (aim: Aim) => Buffer[] {
  const cuts = Array.from({ length: Math.floor(random() * 4) }, () => random()).sort((a, b) => a - b)
  return (aim) => {
    const bytes = Buffer.from(draft.write(aim) + closing(aim), 'latin1')
    const ends = [...cuts.map((cut) => Math.floor(cut * bytes.length)), bytes.length]
    return ends.map((end, i) => bytes.subarray(ends[i - 1] ?? 0, end)).filter((piece) => piece.length > 0)
  }
}

/**
 * Two requests to close the connection, and between them empty lines: a head or a body that an attack left open ends in them, so that
 * few conversations have to wait for the gateway to lose its patience.
 */
function closing(aim: Aim): string {
  const request = (path: string) =>
    `GET ${aim.prefix}/${path}-${aim.id} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n`
  return request('last') + '\r\n'.repeat(200) + request('end')
}

function mutate(draft: Draft, random: () => number): Draft {
  const changes = Array.from({ length: 1 + Math.floor(random() * 3) }, () => ({
    place: random(),
    kind: Math.floor(random() * 4),
    bytes: NASTY[Math.floor(random() * NASTY.length)]!
  }))
  const write = (aim: Aim) => {
    let text = draft.write(aim)
    for (const { place, kind, bytes } of changes) {
      const at = Math.floor(place * text.length)
      // Inserted, put in place of a byte, a byte left out, a stretch said twice.
      if (kind === 0) text = text.slice(0, at) + bytes + text.slice(at)
      else if (kind === 1) text = text.slice(0, at) + bytes + text.slice(at + 1)
      else if (kind === 2) text = text.slice(0, at) + text.slice(at + 1)
      else text = text.slice(0, at) + text.slice(Math.max(0, at - 20))
    }
    return text
  }
  const what = changes.map(({ place, kind, bytes }) => `${kind}@${place.toFixed(3)} ${JSON.stringify(bytes)}`)
  return { name: `mutation (${what.join('; ')}) of ${draft.name}`, write }
}

/** Thirty-two bits of state, public domain (Tommy Ettinger, "mulberry32"): enough to choose test cases by. */
export function mulberry32(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
