import { Socket } from 'node:net'

/** What Node's types do not name. */
type Inside = { [symbol: symbol]: unknown; _handle: { useUserBuffer(buffer: Buffer): void } }

const names = symbolsOf('kBuffer', 'kBufferCb')
/** Whether this Node can: where it cannot, its server reads all connections itself. */
export const canReadInto = names !== undefined

/**
 * Has what comes on a connection read into `buffer`, from where `take` takes it before it returns: what more of it there is comes into the same
 * memory. `take` answers false to stop reading. Node offers this for connections that it makes (`onread`) and not for those that it accepts, for
 * which it would get 64 KiB from the system at each read, and give most of it back.
 *
 * A server of Node that is given the connection later reads in its own way; where it does not, `take` is asked on, and may `push` a copy.
 */
export function readInto(socket: Socket, buffer: Buffer, take: (bytes: number) => boolean): void {
  if (names === undefined) throw new Error('this Node reads connections in another way')
  const inside = socket as unknown as Inside
  inside[names.buffer] = buffer
  inside[names.take] = take
  inside._handle.useUserBuffer(buffer)
}

/** By the names that they have on a socket for which Node offers it. */
function symbolsOf(buffer: string, take: string): { buffer: symbol; take: symbol } | undefined {
  const socket = new Socket({ onread: { buffer: Buffer.alloc(1), callback: () => true } })
  const named = (name: string) => Object.getOwnPropertySymbols(socket).find(({ description }) => description === name)
  const found = { buffer: named(buffer), take: named(take) }
  return found.buffer === undefined || found.take === undefined ? undefined : { buffer: found.buffer, take: found.take }
}
