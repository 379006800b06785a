import { IncomingMessage } from 'node:http'
import type { Visit } from '../door/visit.ts'
import type { BodyHold } from './body-budget.ts'
import { Gather } from './gather.ts'

/** A request over HTTP/1.1 whose body counts while it is in memory. */
export class GatewayRequest extends IncomingMessage {
  /** Where it counts; none for a request without a body. */
  hold: BodyHold | undefined
  /** Its body passes through, at a pace of its own: the time of whole requests does not hold. */
  passes = false
  visit: Visit | undefined
  private gather: Gather | undefined

  override push(chunk: Buffer | null, encoding?: BufferEncoding): boolean {
    if (this.hold === undefined) return super.push(chunk, encoding)
    this.gather ??= new Gather((part) => super.push(part))
    const kept = keep(this.hold, this.gather, chunk)
    if (kept === undefined) {
      // Read on and dropped. Nobody is told of an end: what they have is a part of it.
      this.resume()
      return true
    }
    return chunk === null ? super.push(null) : kept
  }
}

/** Keeps a part of a body, and says whether more is wanted now; undefined when it, or the end, is to be dropped. */
export function keep(hold: BodyHold, gather: Gather, chunk: Buffer | null): boolean | undefined {
  const kept = chunk === null ? !hold.refused : hold.take(chunk.length, gather.takesIn(chunk.length))
  if (!kept) {
    gather.drop()
    return undefined
  }
  if (chunk !== null) return gather.add(chunk)
  hold.complete()
  gather.flush()
  return true
}
