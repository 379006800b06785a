/** Parts of a body that are handed on as they come: most bodies have one. */
const FEW = 16
/** Parts from this size on cost little beside their bytes. */
const SMALL = 4_096
const ROOM = 16_384

/**
 * Puts the small parts of a body together: each by itself is a buffer, an event and a place in a list, which is some hundred bytes and a
 * microsecond. What has come in one turn of the event loop goes on at its end.
 */
export class Gather {
  private readonly push: (part: Buffer) => boolean
  private few = FEW
  private room: Buffer | undefined
  private from = 0
  private to = 0
  private waits = false
  /** What the stream last said: whether it takes more now. */
  private more = true

  /** @param push takes a part, and says whether it takes more now */
  constructor(push: (part: Buffer) => boolean) {
    this.push = push
  }

  /** Whether a part of this size will be put together with others. */
  takesIn(bytes: number): boolean {
    return this.few === 0 && bytes < SMALL
  }

  add(part: Buffer): boolean {
    if (!this.takesIn(part.length)) {
      if (this.few > 0) this.few--
      this.flush()
      this.more = this.push(part)
    } else {
      if (this.room === undefined || this.to + part.length > ROOM) this.turn()
      this.to += part.copy(this.room!, this.to)
      if (!this.waits) {
        this.waits = true
        setImmediate(() => {
          this.waits = false
          this.flush()
        })
      }
    }
    return this.more
  }

  /** Hands on what is here. */
  flush(): void {
    if (this.to === this.from) return
    const part = this.room!.subarray(this.from, this.to)
    this.from = this.to
    this.more = this.push(part)
  }

  /** Nothing of it is wanted any more. */
  drop(): void {
    this.room = undefined
    this.from = 0
    this.to = 0
  }

  private turn(): void {
    this.flush()
    this.room = Buffer.allocUnsafeSlow(ROOM)
    this.from = 0
    this.to = 0
  }
}
