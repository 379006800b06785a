/** The content codings the gateway speaks (RFC 7932, RFC 8878, RFC 1952). */
export type Coding = 'br' | 'zstd' | 'gzip'

/** In order of preference for what is encoded on its way through: zstd makes the same size for half the time (docs/gateway-design.md). */
export const ON_THE_WAY: readonly Coding[] = ['zstd', 'br', 'gzip']
/** In order of preference for what is encoded once and served many times: the smallest first. */
export const TO_KEEP: readonly Coding[] = ['br', 'zstd', 'gzip']

/** Different headers whose outcome is remembered; real clients send a dozen. */
const MEMO_SIZE = 256
/** Longer headers are not remembered, so that a hostile client cannot fill memory with them. */
const MEMO_LENGTH = 128

/** Members that are looked at; there are ten codings in all. */
const MOST_MEMBERS = 32

type Memo = Map<string, Coding | undefined>
const memos = new WeakMap<readonly Coding[], Memo>()

/**
 * Which of `offered` (most preferred first) a client takes, by its `Accept-Encoding` (RFC 9110 12.5.3); `undefined` is the body as it
 * is. The client's weights decide first and the order of `offered` among equals. A client that says nothing gets the body as it is,
 * as does one that rules out everything: there is nothing better to send. Known headers cost one look into a map: pass the same
 * array each time.
 */
export function negotiate(acceptEncoding: string | undefined, offered: readonly Coding[]): Coding | undefined {
  if (acceptEncoding === undefined || acceptEncoding === '') return undefined
  let memo = memos.get(offered)
  if (memo === undefined) {
    memo = new Map()
    memos.set(offered, memo)
  }
  const known = memo.get(acceptEncoding)
  if (known !== undefined || memo.has(acceptEncoding)) return known
  const chosen = choose(acceptEncoding, offered)
  if (acceptEncoding.length <= MEMO_LENGTH) {
    // Emptied when full: headers made up to fill it are gone with the next ones.
    if (memo.size >= MEMO_SIZE) memo.clear()
    memo.set(acceptEncoding, chosen)
  }
  return chosen
}

function choose(header: string, offered: readonly Coding[]): Coding | undefined {
  const weights = new Map<string, number>()
  for (const part of header.toLowerCase().split(',', MOST_MEMBERS)) {
    const [name, ...parameters] = part.split(';')
    const coding = name!.trim()
    if (coding === '') continue
    // RFC 9110 8.4.1.3: x-gzip is gzip.
    weights.set(coding === 'x-gzip' ? 'gzip' : coding, weightOf(parameters))
  }
  const others = weights.get('*')
  let best: Coding | undefined
  let most = 0
  for (const coding of offered) {
    const weight = weights.get(coding) ?? others ?? 0
    if (weight > most) {
      best = coding
      most = weight
    }
  }
  // Only a client that names identity with a higher weight asks for it; unnamed it is merely acceptable.
  return most < (weights.get('identity') ?? 0) ? undefined : best
}

/** A weight from 0 to 1; what cannot be read is 0, the coding is then not used. */
function weightOf(parameters: readonly string[]): number {
  for (const parameter of parameters) {
    const text = parameter.trim()
    if (!text.startsWith('q=')) continue
    return /^(?:0(?:\.\d{0,3})?|1(?:\.0{0,3})?)$/.test(text.slice(2)) ? Number(text.slice(2)) : 0
  }
  return 1
}
