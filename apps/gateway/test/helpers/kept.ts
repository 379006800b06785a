import { connect } from 'node:net'
import { waitFor } from '@skerry/testing'
import type { Test } from 'tap'

/** A connection of HTTP/1.1 that somebody keeps. */
export type Kept = {
  /** All that it has received. */
  heard(): string
  /** Whether the other side has ended or broken it. */
  isOver(): boolean
  /** Sends a request and waits until what comes back matches; resolves with what came. */
  ask(path: string, until: RegExp): Promise<string>
}

export function keepConnection(t: Test, port: number): Kept {
  const socket = connect(port, '127.0.0.1')
  t.teardown(() => socket.destroy())
  let heard = ''
  let over = false
  socket.on('error', () => socket.destroy())
  socket.on('data', (chunk) => {
    heard += chunk.toString('latin1')
  })
  for (const end of ['end', 'close'])
    socket.on(end, () => {
      over = true
    })
  return {
    heard: () => heard,
    isOver: () => over,
    async ask(path, until) {
      const before = heard.length
      socket.write(`GET ${path} HTTP/1.1\r\nhost: x\r\n\r\n`)
      await waitFor(() => until.test(heard.slice(before)) || over, {
        timeoutMs: 60_000,
        message: `${path} is answered`
      })
      return heard.slice(before)
    }
  }
}
