import { randomFillSync } from 'node:crypto'

/** How many buckets the id space is split into: the unit that shards own. */
export const BUCKETS = 4096

const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz'
const VALUES = new Uint8Array(128).fill(255)
for (let i = 0; i < 32; i++) VALUES[ALPHABET.charCodeAt(i)] = i

// One call into the random source serves many ids: the call costs more than the bytes.
const pool = Buffer.allocUnsafe(4096)
let used = pool.length

function randomBytes(count: number): number {
  if (used + count > pool.length) {
    randomFillSync(pool)
    used = 0
  }
  const at = used
  used += count
  return at
}

/** A bucket for something that owns itself, such as a new user. 0 … 4095. */
export function randomBucket(): number {
  return pool.readUInt16LE(randomBytes(2)) & (BUCKETS - 1)
}

/**
 * A new id: 26 characters of lower-case Crockford base32 over 128 bits: 48 of milliseconds, 12 of bucket, 68 random.
 * Ids sort by time. What a user owns takes its owner's bucket, so that an id alone says which shard holds it.
 *
 * @param bucket 0 … 4095
 * @param time milliseconds since 1970
 */
export function newId(bucket: number, time: number = Date.now()): string {
  if (!Number.isInteger(bucket) || bucket < 0 || bucket >= BUCKETS) throw new RangeError(`not a bucket: ${bucket}`)
  // 130 bits of text hold 128: the first character carries three bits. 48 bits of time = 3 + 9 × 5; 12 of bucket and 68 random = 16 × 5.
  let out = ALPHABET[Math.floor(time / 2 ** 45) & 7]!
  for (let shift = 40; shift >= 0; shift -= 5) out += ALPHABET[Math.floor(time / 2 ** shift) & 31]!
  const at = randomBytes(9)
  out += ALPHABET[bucket >> 7]! + ALPHABET[(bucket >> 2) & 31]!
  out += ALPHABET[((bucket & 3) << 3) | (pool[at]! & 7)]!
  // 65 random bits are left: 13 characters of 5 bits from 8 bytes and 1 bit of the first.
  let bits = pool[at]! >> 3
  let held = 5
  for (let i = 1, left = 13; left > 0; left--) {
    if (held < 5) {
      bits = (bits << 8) | pool[at + i++]!
      held += 8
    }
    out += ALPHABET[(bits >> (held - 5)) & 31]!
    held -= 5
    bits &= (1 << held) - 1
  }
  return out
}

/** Whether a text is an id. */
export function isId(text: string): boolean {
  if (text.length !== 26) return false
  for (let i = 0; i < 26; i++) {
    const value = VALUES[text.charCodeAt(i)] ?? 255
    if (value === 255 || (i === 0 && value > 7)) return false
  }
  return true
}

/** The bucket an id carries, 0 … 4095. Also takes texts that begin with an id, such as `<id>:<id>`. */
export function bucketOf(id: string): number {
  const a = VALUES[id.charCodeAt(10)] ?? 255
  const b = VALUES[id.charCodeAt(11)] ?? 255
  const c = VALUES[id.charCodeAt(12)] ?? 255
  if (a === 255 || b === 255 || c === 255) throw new RangeError('not an id')
  return (a << 7) | (b << 2) | (c >> 3)
}

/** When an id was made, in milliseconds since 1970. */
export function timeOf(id: string): number {
  let time = 0
  for (let i = 0; i < 10; i++) time = time * 32 + (VALUES[id.charCodeAt(i)] ?? 0)
  return time
}

/** A bucket from any text, for things whose id is the thing itself (FNV-1a). */
export function bucketFromText(text: string): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193) >>> 0
  return (hash ^ (hash >>> 16)) & (BUCKETS - 1)
}
