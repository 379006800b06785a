/** What a body is made of. */
const PART = Buffer.alloc(65_536, 'x')

type Sink = { write(part: Buffer): boolean; once(event: 'drain', then: () => void): unknown; end(): unknown }

/** Writes so many bytes to a stream, as fast as it takes them, and ends it. */
export function give(sink: Sink, size: number): void {
  let left = size
  const go = () => {
    while (left > 0) {
      const part = left < PART.length ? PART.subarray(0, left) : PART
      left -= part.length
      if (!sink.write(part)) {
        sink.once('drain', go)
        return
      }
    }
    sink.end()
  }
  go()
}
