import type { Socket } from 'node:net'

/**
 * Whether it is known who is at the other end of a connection, which is asked when it is taken. The system tells only while both ends are
 * there, and Node keeps what it was told: a request whose client breaks off has the address of its connection, too. A connection that was
 * reset before it was taken has none: what it sent would count for nobody, or for all of its kind together.
 */
export function knowsAddress(socket: Socket): boolean {
  return socket.remoteAddress !== undefined
}
