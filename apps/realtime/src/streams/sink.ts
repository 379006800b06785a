/** Why a stream ends. */
export type EndReason = 'expired' | 'revoked' | 'draining' | 'stalled' | 'gone'

/** The way to one client: SSE or WebSocket. */
export interface Sink {
  readonly transport: 'sse' | 'ws'
  message(id: string, type: string, body: string): void
  /** The id to go on from, without a message; it is the heartbeat too. */
  place(id: string): void
  /** False when the client has not answered the heartbeat before. */
  beat(): boolean
  /** Bytes that the client has not taken yet. */
  buffered(): number
  /** Bytes that the client has taken since it came; stands still while it takes nothing. */
  taken(): number
  /** Resolves when the client has taken what was buffered, or is gone. */
  drained(): Promise<void>
  /** `retryMs`: when the client should come back. */
  end(reason: EndReason, retryMs: number): void
}
