import { connect, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { pieces } from './bytes.ts'
import type { ClientPlan } from './model.ts'

/** What a client saw. */
export type Transcript = {
  /** All that it read, as latin1. */
  text: string
  /** All bytes of its plan went out before the connection closed. */
  sentAll: boolean
  /** Who ended the connection, as far as the client can tell. */
  closedBy: 'gateway' | 'client'
  /** It ended by a reset rather than in good order. */
  reset: boolean
  /** There was nobody to connect to. */
  refused: boolean
  /** The gateway neither answered nor closed in all the time that it was given. */
  stuck: boolean
}

export type PlayOptions = {
  port: number
  /** How long the gateway may take to end this; far beyond its own bounds. */
  longestMs: number
  /** Whether what has come is all that can come: the client then leaves. */
  enough(text: string): boolean
}

const SOON_MS = 2

/** Plays a client against a gateway: a bare socket, and bytes. */
export function play(plan: ClientPlan, bytes: Buffer, options: PlayOptions): Promise<Transcript> {
  return new Promise((resolve) => {
    const { port, longestMs, enough } = options
    const raw = connect({ port, host: '127.0.0.1', noDelay: true })
    const socket: Socket =
      plan.speaks === 'tls'
        ? connectTls({
            socket: raw,
            rejectUnauthorized: false,
            ALPNProtocols: plan.frames.length > 0 ? ['h2'] : ['http/1.1']
          })
        : raw
    const parts = pieces(bytes, plan.cuts, plan.sent)
    const transcript: Transcript = {
      text: '',
      sentAll: false,
      closedBy: 'gateway',
      reset: false,
      refused: false,
      stuck: false
    }
    let next = 0
    let left = false
    const leave = (how: 'end' | 'reset') => {
      if (left) return
      left = true
      if (transcript.closedBy === 'gateway' && !raw.readableEnded && !raw.destroyed) transcript.closedBy = 'client'
      if (how === 'end') socket.end()
      else raw.resetAndDestroy()
    }
    const sent = () => {
      transcript.sentAll = true
      if (plan.deaf) socket.resume()
      if (plan.end === 'end' || plan.end === 'reset') leave(plan.end)
      else if (enough(transcript.text)) leave('end')
    }
    const write = () => {
      if (left) return
      if (!socket.writable) {
        socket.resume()
        return
      }
      const part = parts[next++]
      if (part !== undefined) socket.write(part)
      if (next >= parts.length) sent()
      else if (plan.pause === 'none') write()
      else if (plan.pause === 'turn') setImmediate(write)
      else setTimeout(write, SOON_MS)
    }
    socket.once(plan.speaks === 'tls' ? 'secureConnect' : 'connect', write)
    if (plan.deaf) socket.pause()
    socket.on('data', (chunk: Buffer) => {
      transcript.text += chunk.toString('latin1')
      if (plan.end === 'end at answer') leave('end')
      else if (plan.end === 'reset at answer') leave('reset')
      else if (transcript.sentAll && enough(transcript.text)) leave('end')
    })
    const failed = (error: NodeJS.ErrnoException) => {
      if (error.code === 'ECONNREFUSED') transcript.refused = true
      if (error.code === 'ECONNRESET' || error.code === 'EPIPE') transcript.reset = true
      raw.destroy()
    }
    socket.on('error', failed)
    if (raw !== socket) raw.on('error', failed)
    const timer = setTimeout(() => {
      transcript.stuck = true
      raw.destroy()
    }, longestMs)
    raw.once('close', () => {
      clearTimeout(timer)
      // What was decrypted may still be on its way.
      setImmediate(() => resolve(transcript))
    })
  })
}
