/** The head of a frame of HTTP/2 (RFC 9113, 4.1). */
const FRAME_HEAD = 9

/** The memory of one read, of which parts of a body are. */
type Read = {
  readonly memory: ArrayBuffer
  /** Where the last part in it ended. */
  end: number
  /** Nobody else's body can be in it. */
  unshared: boolean
  /** Parts in it that are still to be written. */
  unwritten: number
  /** Parts have come that are behind it. */
  left: boolean
}

/**
 * Frees the memory that the parts of an HTTP/2 body are in as soon as all are written. Node gives them as they were read: several parts, also of
 * several streams, in the memory of one read of their connection. Only a read that has this body alone is freed, which its gaps tell: where no more
 * than the head of a frame is between two parts, no byte of another body can be. What is freed too late is the collector's.
 */
export class SharedReads {
  private last: Read | undefined

  /** A part has come. Answers what to call when it was written, or was not. */
  take({ buffer, byteOffset, byteLength }: Buffer): (written: boolean) => void {
    if (!(buffer instanceof ArrayBuffer)) return () => undefined
    let read = this.last
    if (read?.memory !== buffer) {
      if (read !== undefined) this.leave(read)
      read = { memory: buffer, end: 0, unshared: true, unwritten: 0, left: false }
      this.last = read
    }
    if (byteOffset < read.end || byteOffset - read.end > FRAME_HEAD) read.unshared = false
    read.end = byteOffset + byteLength
    read.unwritten++
    const taken = read
    return (written) => {
      taken.unwritten--
      if (!written) taken.unshared = false
      freeWhenDone(taken)
    }
  }

  private leave(read: Read): void {
    read.left = true
    if (read.memory.byteLength - read.end > FRAME_HEAD) read.unshared = false
    freeWhenDone(read)
  }
}

function freeWhenDone({ memory, unshared, unwritten, left }: Read): void {
  if (unshared && left && unwritten === 0) memory.transfer(0)
}
