import { SkerryError } from '@skerry/contracts'
import type { FastifyReply } from 'fastify'

/** One request whose handler has not answered yet. */
export type Pending = { readonly reply: FastifyReply; readonly at: number; expired: boolean }

/**
 * The time limit of handlers: one timer looks over all that is pending a few times a second, instead of a timer, an AbortController and
 * two listeners for each request. A handler that is late is answered for with 503; its own result is then dropped.
 */
export class Deadlines {
  private readonly pending = new Set<Pending>()
  private readonly timer: NodeJS.Timeout

  constructor(everyMs: number) {
    this.timer = setInterval(() => this.expire(performance.now()), everyMs)
    this.timer.unref()
  }

  get size(): number {
    return this.pending.size
  }

  add(reply: FastifyReply, at: number): Pending {
    const entry = { reply, at, expired: false }
    this.pending.add(entry)
    return entry
  }

  /** True when the request was answered for already. */
  settle(entry: Pending): boolean {
    this.pending.delete(entry)
    return entry.expired
  }

  close(): void {
    clearInterval(this.timer)
  }

  private expire(now: number): void {
    for (const entry of this.pending) {
      if (entry.at > now) continue
      this.pending.delete(entry)
      entry.expired = true
      if (entry.reply.sent) continue
      entry.reply.send(
        new SkerryError('UNAVAILABLE', { detail: 'The service took too long to answer.', retryAfter: 1 })
      )
    }
  }
}
