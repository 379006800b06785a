import { IncomingMessage } from 'node:http'
import type { BodyHold } from './body-budget.ts'

/** A request over HTTP/1.1 whose body counts while it is in memory. */
export class GatewayRequest extends IncomingMessage {
  /** Where it counts; none for a request without a body. */
  hold: BodyHold | undefined
  /** Its body passes through, at a pace of its own: the time of whole requests does not hold. */
  passes = false

  override push(chunk: Buffer | null, encoding?: BufferEncoding): boolean {
    if (this.hold !== undefined && !keep(this.hold, chunk)) {
      // Read on and dropped. Nobody is told of an end: what they have is a part of it.
      this.resume()
      return true
    }
    return super.push(chunk, encoding)
  }
}

/** Whether a part of a body, or its end, is to be handed on. */
export function keep(hold: BodyHold, chunk: Buffer | null): boolean {
  if (chunk !== null) return hold.take(chunk.length)
  hold.complete()
  return !hold.refused
}
