import type { Socket } from 'node:net'
import { pauseForTurn } from './stop-reading.ts'

/** Earned with each request that has a body, and with each so many bytes. */
const BY_REQUEST = 16
const BYTES = 128
/** After so many the others have their turn. */
const AT_ONCE = 256

/**
 * How many pieces (reads, chunks, DATA frames) the bodies of one connection may come in. A piece costs about a microsecond however small
 * it is, so that a read of 64 KiB in chunks of one byte costs as much as hundreds of requests. No clock: who sends slowly may send no more.
 */
export type Pieces = {
  /** A request with a body has come. */
  begin(): void
  /** A piece has come; false when it is one too many. */
  take(bytes: number): boolean
}

export type PiecesOptions = {
  /** What a connection may bring ahead of what it has earned. */
  most: number
  /** As many again have come although the first one too many was refused. */
  onFlood?(): void
  /** Many have come since the last time. */
  onMany?(): void
}

export function createPieces({ most, onFlood, onMany }: PiecesOptions): Pieces {
  let left = most
  let flooded = false
  let count = 0
  const earn = (pieces: number) => {
    left = Math.min(most, left + pieces)
  }
  return {
    begin: () => earn(BY_REQUEST),
    take(bytes) {
      earn(bytes / BYTES - 1)
      if (++count % AT_ONCE === 0) onMany?.()
      if (left < -most && !flooded) {
        flooded = true
        onFlood?.()
      }
      return left >= 0
    }
  }
}

const PIECES = Symbol('pieces')

/** Those of a connection of HTTP/1.1, made when it brings its first body. */
export function piecesOf(socket: Socket, most: number): Pieces {
  const owner = socket as Socket & { [PIECES]?: Pieces }
  owner[PIECES] ??= createPieces({ most, onMany: () => pauseForTurn(socket) })
  return owner[PIECES]
}
