import type { IncomingHttpHeaders } from 'node:http'
import type { Dispatcher } from 'undici'
import { endThen } from './ended-answers.ts'
import type { Exchange } from './exchange.ts'

/** Who gets an answer, once its head was written. */
export type Taker = Required<Pick<Dispatcher.DispatchHandler, 'onResponseData' | 'onResponseEnd' | 'onResponseError'>>

/** What came of an answer whose head has to wait. */
export class HeldAnswer {
  readonly parts: Buffer[] = []
  /** Its trailers, when it is whole. */
  ended: IncomingHttpHeaders | undefined
  error: Error | undefined

  /** Gives on what came, and lets the rest come. */
  release(controller: Dispatcher.DispatchController, taker: Taker): void {
    // Before the parts: a client that does not take them stops it again.
    controller.resume()
    for (const part of this.parts) taker.onResponseData(controller, part)
    if (this.ended !== undefined) taker.onResponseEnd(controller, this.ended)
    else if (this.error !== undefined) taker.onResponseError(controller, this.error)
  }
}

/**
 * Keeps the answer to a write back until no old answer of what it has written is left. `head` writes its head then, and answers who takes the rest;
 * undefined where it is not wanted any more.
 */
export function holdUntilEnded(
  exchange: Exchange,
  tags: readonly string[],
  controller: Dispatcher.DispatchController,
  head: () => Taker | undefined
): HeldAnswer {
  const held = new HeldAnswer()
  controller.pause()
  endThen(exchange, tags, () => {
    const taker = head()
    if (taker !== undefined) held.release(controller, taker)
  })
  return held
}
