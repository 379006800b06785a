import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import type { Test } from 'tap'

/** Frames of HTTP/2 (RFC 9113 6), by hand: for what no client would send. */
export const TYPE = {
  data: 0,
  headers: 1,
  priority: 2,
  reset: 3,
  settings: 4,
  ping: 6,
  goaway: 7,
  windowUpdate: 8,
  continuation: 9
} as const
export const END_STREAM = 1
export const END_HEADERS = 4
export const ACK = 1
export const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')

export type Frame = { type: number; flags: number; stream: number; payload: Buffer }

export function frame(type: number, flags: number, stream: number, payload: Buffer | string = ''): Buffer {
  const inside = typeof payload === 'string' ? Buffer.from(payload, 'latin1') : payload
  const head = Buffer.alloc(9)
  head.writeUIntBE(inside.length, 0, 3)
  head[3] = type
  head[4] = flags
  head.writeUInt32BE(stream, 5)
  return Buffer.concat([head, inside])
}

export function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}

/** Header fields as literals that are not indexed (RFC 7541 6.2.2): any bytes can be in them. */
export function block(fields: readonly (readonly [name: string, value: string])[]): Buffer {
  const text = (value: string) => {
    const bytes = Buffer.from(value, 'latin1')
    return Buffer.concat([integer(bytes.length, 7), bytes])
  }
  return Buffer.concat(fields.flatMap(([name, value]) => [Buffer.from([0]), text(name), text(value)]))
}

/** An integer with a prefix of some bits (RFC 7541 5.1), the bits before it zero. */
export function integer(value: number, bits: number): Buffer {
  const most = 2 ** bits - 1
  if (value < most) return Buffer.from([value])
  const bytes = [most]
  let rest = value - most
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) + 128)
  return Buffer.from([...bytes, rest])
}

export const GET = [
  [':method', 'GET'],
  [':scheme', 'http'],
  [':path', '/v1/x'],
  [':authority', 'a.example']
] as const

export type RawClient = {
  socket: Socket
  frames: Frame[]
  send(...parts: Buffer[]): void
  /** The first frame that fits, also one that came before. */
  next(fits: (frame: Frame) => boolean): Promise<Frame>
  /** Resolves when the connection is gone, by whatever reason. */
  closed: Promise<unknown>
}

/** A connection that has sent the preface and its settings. */
export async function openRaw(t: Test, port: number): Promise<RawClient> {
  const socket = connect(port, '127.0.0.1')
  t.teardown(() => socket.destroy())
  const frames: Frame[] = []
  const waiting = new Set<() => void>()
  let rest: Buffer = Buffer.alloc(0)
  socket.on('data', (chunk: Buffer) => {
    rest = Buffer.concat([rest, chunk])
    while (rest.length >= 9 && rest.length >= 9 + rest.readUIntBE(0, 3)) {
      const length = rest.readUIntBE(0, 3)
      const stream = rest.readUInt32BE(5) & 0x7fffffff
      frames.push({ type: rest[3]!, flags: rest[4]!, stream, payload: rest.subarray(9, 9 + length) })
      rest = rest.subarray(9 + length)
    }
    for (const look of waiting) look()
  })
  // A server that ends the connection may do so while it is still written to.
  socket.on('error', () => socket.destroy())
  const closed = new Promise((resolve) => socket.once('close', resolve))
  await once(socket, 'connect')
  socket.write(Buffer.concat([PREFACE, frame(TYPE.settings, 0, 0)]))
  return {
    socket,
    frames,
    send: (...parts) => socket.write(Buffer.concat(parts)),
    next: (fits) =>
      new Promise((resolve, reject) => {
        const look = () => {
          const found = frames.find(fits)
          if (found === undefined) return
          waiting.delete(look)
          resolve(found)
        }
        waiting.add(look)
        closed.then(() => reject(new Error('the connection was closed')))
        look()
      }),
    closed
  }
}
