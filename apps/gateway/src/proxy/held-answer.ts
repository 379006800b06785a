import type { IncomingHttpHeaders } from 'node:http'

/** What came of an answer whose head has to wait. */
export class HeldAnswer {
  readonly parts: Buffer[] = []
  /** Its trailers, when it is whole. */
  ended: IncomingHttpHeaders | undefined
  error: Error | undefined
}
