import { randomBytes } from 'node:crypto'

/** Codes of RFC 6455 7.4.1 and IANA's registry that the gateway itself says. */
export const CLOSE = { goingAway: 1001, protocol: 1002, tooBig: 1009, restarting: 1012, badGateway: 1014 } as const

const CONTROL = 8
const CLOSE_OPCODE = 8
const LONGEST_CONTROL = 125
const NOTHING = Buffer.alloc(0)

export type FrameOptions = {
  /** What a client sends is masked, what a service sends is not. */
  masked: boolean
  /** Bytes of a message on the wire, over all its frames. */
  messageLimit: number
}

/**
 * Follows the frames of one direction of a WebSocket (RFC 6455 5.2) as they pass, without touching what is in them: so that a frame of
 * the gateway's own goes between two others, and no message is larger than it may be. It keeps no payload.
 */
export class FrameReader {
  /** Why nothing after what was taken may pass: a close code. */
  fault: number | undefined
  /** A close frame has passed, whole. */
  closed = false
  private readonly options: FrameOptions
  /** Bytes of the current frame that are still to come. */
  private left = 0
  /** Bytes of the current message so far. */
  private message = 0
  private closing = false
  /** A head that has not come whole. */
  private held: Buffer = NOTHING

  constructor(options: FrameOptions) {
    this.options = options
  }

  /** Whether what has passed ends with the end of a frame. */
  get between(): boolean {
    return this.left === 0
  }

  /** What of these bytes may pass now: heads only when they have come whole and are in order. `untilBoundary`: no frame begins any more. */
  take(chunk: Buffer, untilBoundary = false): Buffer {
    const bytes = this.held.length === 0 ? chunk : Buffer.concat([this.held, chunk])
    this.held = NOTHING
    let at = 0
    while (at < bytes.length && this.fault === undefined && !this.closed) {
      if (this.left > 0) {
        const step = Math.min(this.left, bytes.length - at)
        at += step
        this.left -= step
        if (this.left === 0 && this.closing) this.closed = true
        continue
      }
      if (untilBoundary) break
      const length = headLength(bytes, at)
      if (length > bytes.length - at) {
        this.held = Buffer.from(bytes.subarray(at))
        break
      }
      const payload = this.enter(bytes, at)
      if (this.fault !== undefined) break
      at += length
      this.left = payload
      if (payload === 0 && this.closing) this.closed = true
    }
    return at === bytes.length ? bytes : bytes.subarray(0, at)
  }

  /** Takes in a whole head. Answers the length of its payload. */
  private enter(bytes: Buffer, at: number): number {
    const opcode = bytes[at]! & 0x0f
    const payload = payloadLength(bytes, at)
    if (bytes[at + 1]! >= 0x80 !== this.options.masked) this.fault = CLOSE.protocol
    else if (opcode >= CONTROL) {
      if (payload > LONGEST_CONTROL || bytes[at]! < 0x80) this.fault = CLOSE.protocol
      this.closing = opcode === CLOSE_OPCODE
    } else {
      this.message = opcode === 0 ? this.message + payload : payload
      if (this.message > this.options.messageLimit) this.fault = CLOSE.tooBig
    }
    return payload
  }
}

/** Bytes of the head at `at`, as far as can be told; 2 to 14. */
function headLength(bytes: Buffer, at: number): number {
  if (at + 1 >= bytes.length) return 2
  const second = bytes[at + 1]!
  const short = second & 0x7f
  return 2 + (short === 127 ? 8 : short === 126 ? 2 : 0) + (second >= 0x80 ? 4 : 0)
}

function payloadLength(bytes: Buffer, at: number): number {
  const short = bytes[at + 1]! & 0x7f
  if (short === 126) return bytes.readUInt16BE(at + 2)
  // Beyond 2^53 it is not exact, and far beyond any limit.
  return short === 127 ? Number(bytes.readBigUInt64BE(at + 2)) : short
}

/** A close frame; `masked` for one to a service. `reason`: at most 123 bytes of UTF-8. */
export function closeFrame(code: number, reason: string, masked: boolean): Buffer {
  const text = Buffer.from(reason)
  const payload = Buffer.alloc(2 + text.length)
  payload.writeUInt16BE(code)
  text.copy(payload, 2)
  if (!masked) return Buffer.concat([Buffer.from([0x88, payload.length]), payload])
  const mask = randomBytes(4)
  for (let i = 0; i < payload.length; i++) payload[i]! ^= mask[i % 4]!
  return Buffer.concat([Buffer.from([0x88, 0x80 | payload.length]), mask, payload])
}
