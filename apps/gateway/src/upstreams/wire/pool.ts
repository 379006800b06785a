import type { Dispatcher } from 'undici'
import { ClosedError, Connection, type ConnectionOwner, type Waiting, type WireRequest } from './connection.ts'
import type { Familiar } from './head.ts'
import { lookBeforeUse } from './look.ts'

export type WirePoolOptions = {
  /** Connections at most; requests above wait in order. */
  connections: number
  connectTimeoutMs: number
  /** How long an unused connection is kept: shorter than services keep their side open. */
  idleMs: number
}

/** A connection could not be made in time. `code` is undici's for it. */
class ConnectTimeoutError extends Error {
  readonly code = 'UND_ERR_CONNECT_TIMEOUT'

  constructor() {
    super('the instance did not take the connection in time')
    this.name = 'ConnectTimeoutError'
  }
}

const SWEEP_MS = 500

/** The kept connections to one origin. The one that became free last is used first, so that those not needed grow old and close. */
export class WirePool implements ConnectionOwner {
  readonly host: string
  readonly familiar: Familiar = []
  readonly idleMs: number
  private readonly hostname: string
  private readonly port: number
  private readonly options: WirePoolOptions
  private readonly idle: Connection[] = []
  private readonly all = new Set<Connection>()
  private readonly queue: Waiting[] = []
  private readonly connecting = new Map<Connection, Waiting>()
  private readonly sweeper: NodeJS.Timeout
  private leaving = false
  private whenEmpty: (() => void) | undefined

  constructor(origin: URL, options: WirePoolOptions) {
    this.host = origin.host
    this.hostname = origin.hostname.replace(/^\[|\]$/g, '')
    this.port = Number(origin.port) || 80
    this.options = options
    this.idleMs = options.idleMs
    this.sweeper = setInterval(() => this.sweep(performance.now()), SWEEP_MS).unref()
  }

  /** The handler's errors are `onResponseError`; before `onRequestStart` they mean that nothing was sent. */
  dispatch(request: WireRequest, handler: Dispatcher.DispatchHandler): void {
    const connection = this.idle.pop()
    if (connection !== undefined) this.reuse(connection, { request, handler })
    else if (this.leaving && this.all.size === 0) handler.onResponseError?.(NOTHING_SENT, new ClosedError())
    else if (this.all.size < this.options.connections && !this.leaving) this.open({ request, handler })
    else this.queue.push({ request, handler })
  }

  /** Sends a request on a connection that was used before, once it was looked at. */
  private reuse(connection: Connection, waiting: Waiting): void {
    connection.reserved = waiting
    lookBeforeUse(connection)
  }

  looked(connection: Connection, now: number): void {
    const { reserved } = connection
    // It was taken back.
    if (reserved === undefined) return
    connection.reserved = undefined
    if (!connection.isClosed && now - connection.freeSince <= connection.idleMs) {
      connection.send(reserved.request, reserved.handler)
      return
    }
    connection.close(undefined)
    // Nothing was sent.
    this.dispatch(reserved.request, reserved.handler)
  }

  /** Takes a request back that was not sent yet. Answers whether it was still here. */
  withdraw(handler: Dispatcher.DispatchHandler): boolean {
    const at = this.queue.findIndex((one) => one.handler === handler)
    if (at !== -1) {
      this.queue.splice(at, 1)
      return true
    }
    for (const [connection, waiting] of this.connecting) {
      if (waiting.handler !== handler) continue
      this.connecting.delete(connection)
      connection.close(undefined)
      return true
    }
    for (const connection of this.all) {
      if (connection.reserved?.handler !== handler) continue
      connection.reserved = undefined
      if (!connection.isClosed) this.free(connection)
      return true
    }
    return false
  }

  free(connection: Connection): void {
    if (this.leaving && this.queue.length === 0) {
      connection.close(undefined)
      return
    }
    const next = this.queue.shift()
    if (next === undefined) this.idle.push(connection)
    else this.reuse(connection, next)
  }

  gone(connection: Connection, error: Error | undefined): void {
    this.all.delete(connection)
    const at = this.idle.lastIndexOf(connection)
    if (at !== -1) this.idle.splice(at, 1)
    const waiting = this.connecting.get(connection)
    this.connecting.delete(connection)
    waiting?.handler.onResponseError?.(NOTHING_SENT, error ?? new ClosedError())
    // Somebody may wait for the place that is now free.
    const next = this.all.size < this.options.connections ? this.queue.shift() : undefined
    if (next !== undefined) this.open(next)
    if (this.all.size === 0) this.whenEmpty?.()
  }

  /** Closes what is unused now and the rest as it becomes free. Resolves when all are closed. */
  async close(): Promise<void> {
    this.leaving = true
    clearInterval(this.sweeper)
    for (const connection of [...this.idle]) connection.close(undefined)
    // Nothing of these was sent: they can go elsewhere.
    for (const { handler } of this.queue.splice(0)) handler.onResponseError?.(NOTHING_SENT, new ClosedError())
    if (this.all.size === 0) return
    await new Promise<void>((resolve) => {
      this.whenEmpty = resolve
    })
  }

  destroy(): void {
    this.leaving = true
    clearInterval(this.sweeper)
    for (const { handler } of this.queue.splice(0)) handler.onResponseError?.(NOTHING_SENT, new ClosedError())
    for (const connection of [...this.all]) connection.close(new ClosedError())
  }

  private open(waiting: Waiting): void {
    const connection = new Connection(this, this.hostname, this.port, () => {
      clearTimeout(late)
      // Not from around: what this closure has in it lives as long as the connection, and so would the first request with its body.
      const first = this.connecting.get(connection)
      // It may have been taken back meanwhile.
      if (first === undefined) return
      this.connecting.delete(connection)
      connection.send(first.request, first.handler)
    })
    // Closing what has closed already does nothing, so the timer need not be found again.
    const late = setTimeout(() => connection.close(new ConnectTimeoutError()), this.options.connectTimeoutMs).unref()
    this.all.add(connection)
    this.connecting.set(connection, waiting)
  }

  private sweep(now: number): void {
    const { idle } = this
    // The rest of an answer that nobody wants may never come.
    for (const one of this.all)
      if (one.discardingSince !== 0 && now - one.discardingSince > SWEEP_MS) one.close(undefined)
    for (const one of [...idle]) if (now - one.freeSince > one.idleMs) one.close(undefined)
  }
}

/** What a handler gets when nothing was sent: nothing to abort, pause or resume. */
export const NOTHING_SENT: Dispatcher.DispatchController = {
  aborted: false,
  paused: false,
  reason: null,
  abort: () => undefined,
  pause: () => undefined,
  resume: () => undefined
}
