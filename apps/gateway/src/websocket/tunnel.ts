import type { Duplex } from 'node:stream'
import type { FaultLog } from '@skerry/service'
import { ignore } from '../listen/guard.ts'
import type { OpenStream } from '../proxy/streams.ts'
import type { LiveStream } from '../upstreams/types.ts'
import { CLOSE, closeFrame, FrameReader } from './frames.ts'

export type TunnelOptions = {
  client: Duplex
  service: Duplex
  /** Bytes of a client's message. */
  messageLimit: number
  /** A message of the client was larger. */
  onTooBig?(): void
  /** Neither side has sent or taken anything for so long, ms. */
  silenceMs: number
  /** Takes in what the code of this tunnel threw, which ends it. */
  onFault: FaultLog
  /** Both sides are gone. */
  onClose(): void
}

/** How long the sides have to follow a close, ms. */
const CLOSE_MS = 2_000

/**
 * Joins a client and a service that have agreed on a WebSocket. Bytes pass as they come, at the pace of whoever reads more slowly: pings,
 * pongs, fragments and extensions are between the two. The gateway itself only says close, between two frames.
 */
export class Tunnel implements OpenStream, LiveStream {
  private readonly options: TunnelOptions
  private readonly up: FrameReader
  private readonly down: FrameReader
  /** What the client is to be told at the next end of a frame. */
  private parting: Buffer | undefined
  /** The client was told; nothing of the service follows. */
  private told = false
  /** Nothing of the client is passed on any more. */
  private deaf = false
  private bound: NodeJS.Timeout | undefined
  private open = 2

  constructor(options: TunnelOptions) {
    this.options = options
    this.up = new FrameReader({ masked: true, messageLimit: options.messageLimit })
    this.down = new FrameReader({ masked: false, messageLimit: Number.MAX_SAFE_INTEGER })
  }

  /** Begins to pass on; the first bytes of either side may have come with the handshake. */
  start(fromClient: Buffer, fromService: Buffer): void {
    const { client, service, silenceMs } = this.options
    client.on('data', (chunk: Buffer) => this.guarded(this.upwards, chunk))
    service.on('data', (chunk: Buffer) => this.guarded(this.downwards, chunk))
    client.once('end', () => this.leave(service))
    service.once('end', () => this.serviceLeft())
    for (const [side, other] of [
      [client, service],
      [service, client]
    ] as const) {
      // 'close' follows.
      side.on('error', ignore)
      side.once('close', () => {
        if (side === service && !client.writableEnded) this.serviceLeft()
        else if (!other.writableEnded) other.destroy()
        if (--this.open > 0) return
        clearTimeout(this.bound)
        this.options.onClose()
      })
    }
    // Whatever passes crosses both; a client that takes nothing holds the service's bytes, and so comes to silence.
    ;(service as Duplex & { setTimeout?(ms: number, late: () => void): void }).setTimeout?.(silenceMs, () =>
      this.end(CLOSE.goingAway, 'silent')
    )
    if (fromClient.length > 0) this.upwards(fromClient)
    if (fromService.length > 0) this.downwards(fromService)
    client.resume()
    service.resume()
  }

  /** Tells the client to go, and why, when the frame that is under way has ended. */
  end(code: number = CLOSE.restarting, reason = 'restarting'): void {
    if (this.parting !== undefined || this.told) return
    this.parting = closeFrame(code, reason, false)
    this.part()
    this.expectEnd()
  }

  /** Its service's instance serves it no more. */
  move(): void {
    this.end()
  }

  destroy(): void {
    this.options.client.destroy()
    this.options.service.destroy()
  }

  private guarded(pass: (chunk: Buffer) => void, chunk: Buffer): void {
    try {
      pass.call(this, chunk)
    } catch (error) {
      this.options.onFault('websocket', error)
      this.destroy()
    }
  }

  private upwards(chunk: Buffer): void {
    if (this.deaf) return
    const { client, service } = this.options
    pass(this.up.take(chunk), client, service)
    const { fault } = this.up
    if (fault === undefined) return
    this.deaf = true
    if (fault === CLOSE.tooBig) this.options.onTooBig?.()
    if (!service.writableEnded) service.write(closeFrame(fault, '', true))
    this.end(fault, fault === CLOSE.tooBig ? 'message too big' : 'protocol error')
  }

  private downwards(chunk: Buffer): void {
    if (this.told) return
    const { client, service } = this.options
    pass(this.down.take(chunk, this.parting !== undefined), service, client)
    if (this.down.fault !== undefined) {
      // What it sends is no WebSocket: nothing more of it is passed on.
      this.end(CLOSE.badGateway, 'bad gateway')
      this.leave(service)
    } else if (this.parting !== undefined) this.part()
  }

  private part(): void {
    const { client, service } = this.options
    if (this.told || !this.down.between) return
    this.told = true
    // After a close nothing is said any more.
    if (!this.down.closed && client.writable) client.write(this.parting!)
    // It may wait for a client that reads slowly.
    service.resume()
  }

  private serviceLeft(): void {
    const { client } = this.options
    if (!this.told && !this.down.closed) this.end(CLOSE.badGateway, 'the service has gone')
    this.leave(client)
  }

  private leave(side: Duplex): void {
    if (!side.writableEnded) side.end()
    this.expectEnd()
  }

  private expectEnd(): void {
    this.bound ??= setTimeout(() => this.destroy(), CLOSE_MS).unref()
  }
}

function pass(bytes: Buffer, from: Duplex, to: Duplex): void {
  if (bytes.length === 0 || !to.writable || to.write(bytes)) return
  from.pause()
  to.once('drain', () => from.resume())
}
