import type { Caller } from '@skerry/service'
import type { LiveEntry, LogBatch, LogPosition } from '../log/entry.ts'
import type { Hub } from './hub.ts'
import { idOf, type Place } from './message-id.ts'
import type { EndReason, Sink } from './sink.ts'
import type { StreamHost } from './stream-host.ts'

/**
 * One client's stream. Live messages are only believed when they follow on the last one sent; in every other case the log is read
 * from there. See docs/realtime.md for the states.
 */
export class LiveStream {
  readonly hub: Hub
  readonly caller: Caller
  readonly token: string
  private readonly host: StreamHost<LiveStream>
  private state: 'opening' | 'reading' | 'live' | 'closed' = 'opening'
  private sink: Sink | undefined
  private stamp = ''
  private seq = 0
  /** The last sequence that the client knows as its place. */
  private told = -1
  private running = false
  /** Since when the client has taken nothing, and what it had taken by then. */
  private stalledAt = 0
  private takenThen = 0
  /** When to compare with the log, in milliseconds. */
  verifyAt = 0
  checking = false

  constructor(host: StreamHost<LiveStream>, hub: Hub, caller: Caller, token: string) {
    this.host = host
    this.hub = hub
    this.caller = caller
    this.token = token
  }

  get closed(): boolean {
    return this.state === 'closed'
  }

  get transport(): Sink['transport'] | undefined {
    return this.sink?.transport
  }

  /** Begins to send: after `from`, or from where the log ends now. */
  start(sink: Sink, now: LogPosition, from: Place | undefined): void {
    this.sink = sink
    this.stamp = from?.stamp ?? now.stamp
    this.seq = from?.seq ?? now.last
    this.verifyAt = Date.now() + this.host.options.verifyMs
    const sameLog = this.hub.stamp === now.stamp
    this.hub.follow(now.stamp)
    if (from === undefined) this.tellPlace()
    this.state = 'live'
    if (from !== undefined || !sameLog || this.hub.lastHeard > this.seq) this.readOn('resume')
  }

  /** A message that was just appended; `odd`: it can't be of the log as it was. */
  offer(entry: LiveEntry, odd: boolean): void {
    if (this.state !== 'live' || this.sink === undefined) return
    if (odd || entry.previous > this.seq || entry.seq <= this.seq) this.readOn('gap')
    else if (this.sink.buffered() > this.host.options.bufferBytes) this.readOn('slow')
    else this.send(entry)
  }

  /** Reads the log from the last message sent until nothing is left, then goes live. */
  readOn(reason: 'resume' | 'gap' | 'slow' | 'reconnect' | 'verify' | 'retry'): void {
    if (this.state === 'closed' || this.state === 'opening') return
    this.state = 'reading'
    if (this.running) return
    this.running = true
    this.host.metrics.reads.inc({ reason })
    this.read()
      .then((ended) => {
        if (ended && this.state === 'reading') this.state = 'live'
        else if (!ended) this.host.retryLater(this)
      })
      .catch((error: unknown) => {
        this.host.log.debug({ err: error, userId: this.caller.userId }, 'failed to read the live log')
        this.host.retryLater(this)
      })
      .finally(() => {
        this.running = false
      })
  }

  /** True when nothing is left to read; false when what was heard of is not there yet. */
  private async read(): Promise<boolean> {
    const { hub, host } = this
    for (;;) {
      const sink = this.sink
      if (this.closed || sink === undefined) return true
      if (sink.buffered() > host.options.bufferBytes) {
        await sink.drained()
        continue
      }
      const heard = hub.lastHeard
      const settled = host.settled()
      const batch = await host.live.read(hub.userId, this.seq)
      // Asked after the read: what the log still reaches back to now, it did then.
      const now = await host.live.position()
      if (this.closed) return true
      if (!this.isWhole(batch, now)) {
        this.resync(now)
        continue
      }
      for (const entry of batch.entries) this.send(entry)
      if (!batch.ended) continue
      // No message of this user up to a place that every replica has long had: the client need not fall back behind it.
      if (settled.stamp === this.stamp && settled.last > this.seq) this.seq = settled.last
      if (hub.lastHeard <= this.seq) return true
      if (hub.lastHeard === heard) return false
    }
  }

  /** Whether nothing can be missing between the last message sent and this batch. */
  private isWhole(batch: LogBatch, now: LogPosition): boolean {
    const sameLog = now.stamp === this.stamp && now.last >= this.seq
    return sameLog && now.first <= this.seq + 1 && batch.held < this.host.live.perUser
  }

  private resync(now: LogPosition): void {
    const reason = now.stamp === this.stamp ? 'expired' : 'another log'
    this.hub.follow(now.stamp)
    this.stamp = now.stamp
    this.seq = now.last
    this.told = now.last
    this.host.metrics.resyncs.inc({ reason })
    this.sink?.message(idOf(now.stamp, now.last), 'resync', JSON.stringify({ reason }))
  }

  private send(entry: LiveEntry): void {
    this.seq = entry.seq
    this.told = entry.seq
    this.host.metrics.sent.inc()
    this.sink?.message(idOf(this.stamp, entry.seq), entry.type, entry.body)
  }

  private tellPlace(): void {
    this.told = this.seq
    this.sink?.place(idOf(this.stamp, this.seq))
  }

  /** A heartbeat, unless the client has not taken what it got before; ends a stream whose client is gone. */
  beat(now: number): void {
    const { sink } = this
    if (sink === undefined || this.closed) return
    if (sink.buffered() > 0) {
      const taken = sink.taken()
      if (this.stalledAt === 0 || taken !== this.takenThen) this.stalledAt = now
      else if (now - this.stalledAt >= this.host.options.stallMs) this.end('stalled')
      this.takenThen = taken
      return
    }
    this.stalledAt = 0
    if (!sink.beat()) this.end('gone')
    else if (this.told !== this.seq || sink.transport === 'ws') this.tellPlace()
  }

  /** Tells the client why, and lets go of everything. */
  end(reason: EndReason, retryMs = 0): void {
    if (this.closed) return
    this.host.metrics.ended.inc({ reason })
    this.sink?.end(reason, retryMs)
    this.close()
  }

  /** Lets go of everything; the client is gone already. */
  close(): void {
    if (this.closed) return
    this.state = 'closed'
    this.host.release(this)
    this.sink = undefined
  }
}
