import type { Socket } from 'node:net'

/** What a connection speaks, by its first bytes. */
export type Protocol = 'http1' | 'http2' | 'tls'

/** The record type of a TLS handshake (RFC 8446 5.1). */
const HANDSHAKE = 0x16
/** How the preface of HTTP/2 begins (RFC 9113 3.4); no method of HTTP/1.1 does. */
const PREFACE = Buffer.from('PRI')

/** The protocol of these first bytes; `undefined` while they could still be another's. */
export function protocolOf(head: Buffer): Protocol | undefined {
  if (head[0] === HANDSHAKE) return 'tls'
  const known = Math.min(head.length, PREFACE.length)
  for (let i = 0; i < known; i++) if (head[i] !== PREFACE[i]) return 'http1'
  return known === PREFACE.length ? 'http2' : undefined
}

/** Connections whose first bytes are awaited. */
export type Newcomers = {
  /**
   * Waits for the first bytes of a connection, puts them back and says what it speaks. It costs a connection some microseconds and its
   * requests nothing: Node's HTTP parser then reads from the handle as it does without us.
   */
  add(socket: Socket, decided: (protocol: Protocol) => void): void
  /** Breaks those that have been silent since before `since` (as of performance.now()). */
  dismiss(since: number): void
}

export function createNewcomers(): Newcomers {
  const waiting = new Map<Socket, number>()
  return {
    add(socket, decided) {
      // At most two bytes, and those only of a preface that comes in pieces.
      let held: Buffer | undefined
      const leave = () => {
        waiting.delete(socket)
        socket.off('readable', look).off('end', gone).off('error', gone).off('close', leave)
      }
      const gone = () => {
        leave()
        // What the connection broke of is of no use to anybody: it has asked for nothing.
        socket.destroy()
      }
      const look = () => {
        const chunk = socket.read() as Buffer | null
        if (chunk === null) return
        const head = held === undefined ? chunk : Buffer.concat([held, chunk])
        const protocol = protocolOf(head)
        if (protocol === undefined) {
          held = head
          return
        }
        leave()
        socket.unshift(head)
        decided(protocol)
      }
      waiting.set(socket, performance.now())
      socket.on('readable', look).on('end', gone).on('error', gone).on('close', leave)
    },
    dismiss(since) {
      // In the order in which they came.
      for (const [socket, came] of waiting) {
        if (came > since) return
        socket.destroy()
      }
    }
  }
}
