import type { IncomingHttpHeaders } from 'node:http'
import type { Dispatcher } from 'undici'
import type { BalancedRequest } from '../upstreams/types.ts'
import { AnswerWriter } from './answer-writer.ts'
import type { Exchange } from './exchange.ts'
import { Passage } from './passage.ts'
import type { OpenStream } from './streams.ts'
import { isStream, leftOf, upstreamRequest } from './upstream-request.ts'

/** Sends a request to its service, when that has a place for it, and the answer to its client. */
export function relay(exchange: Exchange): void {
  if (!exchange.isGone) new Relay(exchange).start()
}

/**
 * The passage (`passage.ts`) of a request whose body is here, whole: it waits for a place in its service, and its answer is written to the socket as it
 * comes and at the client's pace (`answer-writer.ts`).
 */
class Relay extends Passage implements OpenStream {
  isStreaming = false
  private readonly writer: AnswerWriter

  constructor(exchange: Exchange) {
    super(exchange)
    this.writer = new AnswerWriter(exchange.deps, exchange.visit, exchange.res)
  }

  start(): void {
    // Streams take no place: they are held for hours, and have a bound of their own.
    if (isStream(this.exchange.visit)) this.begin(performance.now())
    else this.ask()
  }

  protected request(now: number): BalancedRequest {
    const { deps, visit, body, version } = this.exchange
    const { headers } = visit.raw
    const timeoutMs = leftOf(headers['x-skerry-deadline'], visit.route!.timeoutMs, now - visit.startedAt)
    return upstreamRequest(visit, { headers, body, timeoutMs, version }, deps)
  }

  protected head(status: number, came: IncomingHttpHeaders): boolean {
    const { exchange, writer } = this
    const { deps, visit, res, cacheStatus } = exchange
    const ours = deps.heads.ours(visit, exchange.timing(came['server-timing']))
    if (cacheStatus !== undefined) ours['cache-status'] = cacheStatus
    const events = came['content-type']?.startsWith('text/event-stream') === true
    writer.head(status, came, ours, events || isStream(visit))
    exchange.isAnswered = true
    if (events) {
      this.isStreaming = true
      deps.streams.add(this)
      // The head must not wait for the first event.
      res.flushHeaders()
    }
    return true
  }

  protected part(chunk: Buffer, controller: Dispatcher.DispatchController): void {
    this.writer.data(chunk, controller)
  }

  protected whole(): void {
    this.writer.end()
  }

  protected broken(): void {
    if (!this.exchange.res.writableEnded) this.writer.destroy()
  }

  closed(early: boolean): void {
    this.writer.closed()
    if (this.isStreaming) this.exchange.deps.streams.delete(this)
    if (!early) return
    this.writer.destroy()
    this.leave()
  }

  /** Ends a live stream in good order: its client connects again, elsewhere. */
  end(): void {
    // Before, so that nothing of the service is written behind the end.
    this.abort()
    this.exchange.res.end()
  }

  destroy(): void {
    this.exchange.res.destroy()
  }
}
