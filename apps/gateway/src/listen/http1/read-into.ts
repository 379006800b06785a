import { Socket } from 'node:net'

/** What Node's types do not name. */
type Inside = { [symbol: symbol]: unknown; _handle: { useUserBuffer(buffer: Buffer): void } }

const names = ['kBuffer', 'kBufferCb'] as const
const [BUFFER, TAKE] = symbolsOf(names)

/**
 * Has what comes on a connection read into `buffer`, from where `take` takes it before it returns: what more of it there is comes into the same
 * memory. `take` answers false to stop reading. Node offers this for connections that it makes (`onread`) and not for those that it accepts, for
 * which it would get 64 KiB from the system at each read, and give most of it back.
 *
 * A server of Node that is given the connection later reads in its own way; where it does not, `take` is asked on, and may `push` a copy.
 */
export function readInto(socket: Socket, buffer: Buffer, take: (bytes: number) => boolean): void {
  const inside = socket as unknown as Inside
  inside[BUFFER] = buffer
  inside[TAKE] = take
  inside._handle.useUserBuffer(buffer)
}

/** By the names that they have on a socket for which Node offers it. */
function symbolsOf([buffer, take]: typeof names): [symbol, symbol] {
  const all = Object.getOwnPropertySymbols(new Socket({ onread: { buffer: Buffer.alloc(1), callback: () => true } }))
  const found = [buffer, take].map((name) => all.find(({ description }) => description === name))
  if (found.includes(undefined)) throw new Error('this Node reads connections in another way')
  return found as [symbol, symbol]
}
