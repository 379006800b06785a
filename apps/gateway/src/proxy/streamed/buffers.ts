/** What one read of a connection to a service brings at most. */
const SIZE = 65_536
/** From so many bytes on a part has a buffer of that size: a small one would hold many times what it is. */
const LARGE = SIZE / 2
/** Buffers that are kept for the next part of any answer. */
const MOST_KEPT = 64
const kept: Buffer[] = []

/**
 * A copy of `part`, in memory that is given back with `giveBack`. Memory that is new for each part would be used until the collector finds
 * it: by gigabytes of parts that is some 80 MB at any time.
 */
export function copyOf(part: Buffer): Buffer {
  if (part.length > SIZE || part.length < LARGE) {
    // Not of the memory that Node shares out: one part would hold that of others.
    const copy = Buffer.allocUnsafeSlow(part.length)
    part.copy(copy)
    return copy
  }
  const buffer = kept.pop() ?? Buffer.allocUnsafeSlow(SIZE)
  part.copy(buffer)
  return buffer.subarray(0, part.length)
}

/** Nobody reads a copy any more. */
export function giveBack(copy: Buffer): void {
  const { buffer } = copy
  if (buffer.byteLength === SIZE && kept.length < MOST_KEPT) kept.push(Buffer.from(buffer as ArrayBuffer))
}

/**
 * Frees the memory of a part that nobody reads any more, where it has all of it to itself, as those that Node's HTTP/1.1 parser makes; the others
 * are the collector's.
 */
export function free({ buffer, byteLength }: Buffer): void {
  if (buffer.byteLength === byteLength && buffer instanceof ArrayBuffer) buffer.transfer(0)
}
