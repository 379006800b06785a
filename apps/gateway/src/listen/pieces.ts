import type { Socket } from 'node:net'
import type { Debtor, PieceShare } from './piece-share.ts'
import { pauseForTurn, stopReading } from './stop-reading.ts'

/** Earned with each request that has a body, and with each so many bytes. */
const BY_REQUEST = 16
const BYTES = 128
/** After so many the others have their turn. */
const AT_ONCE = 256
/**
 * What one may bring in a turn whose share was spent before: a read of 64 KiB has as many in chunks of 100 bytes, and a request costs no less. Who can be
 * stopped is no longer read then; this is for who brings a body with the first read.
 */
const IN_SPENT_TURN = 160
/** What a connection that can be made to wait brings ahead of what it has earned, of all that it may. */
const AHEAD = 0.25

/** Why a piece is one too many: for what its connection has brought, or for what all have brought in this turn of the event loop. */
export type TooMany = 'pieces' | 'busy'

/**
 * How many pieces (reads, chunks, DATA frames) the bodies of one connection may come in. A piece costs about a microsecond however small
 * it is, so that a read of 64 KiB in chunks of one byte costs as much as hundreds of requests. No clock: who sends slowly may send no more.
 */
export type Pieces = {
  /** A request with a body has come. */
  begin(): void
  /** A piece has come; undefined while it is not one too many. */
  take(bytes: number): TooMany | undefined
  /** A body is over. */
  end(): void
}

export type PiecesOptions = {
  /** What a connection may bring more than it has earned. */
  most: number
  /** Where what all bring in a turn counts. */
  share?: PieceShare | undefined
  /** As many again have come although the first one too many was refused. */
  onFlood?(): void
  /** Many have come since the last time. */
  onMany?(): void
  /**
   * Stops reading the connection, and answers how to read on. Who has it is not read when a quarter of `most` is used up, until the share has
   * something for it: no more than one read is too many then. Who has not may bring `most` ahead of what it has earned.
   */
  stop?(): () => void
}

export function createPieces({ most, share, onFlood, onMany, stop }: PiecesOptions): Pieces {
  const ahead = stop === undefined ? most : Math.ceil(most * AHEAD)
  let left = ahead
  let flooded = false
  let count = 0
  let turn = -1
  /** Brought in this turn, as far as its share was spent before. */
  let late = 0
  let isLate = false
  /** Bodies under way; and pieces of the newest. */
  let bodies = 0
  let ofBody = 0
  let readOn: (() => void) | undefined
  const earn = (pieces: number) => {
    left = Math.min(ahead, left + pieces)
  }
  const debtor: Debtor = {
    // Who has earned all that it has brought is not in anybody's way.
    stop() {
      if (ofBody === 0 || left < ahead) owe()
    },
    pay() {
      const owed = Math.max(0, -left)
      left = Math.max(0, left)
      readOn?.()
      readOn = undefined
      return owed
    }
  }
  const owe = () => {
    if (readOn !== undefined || stop === undefined || share === undefined) return
    readOn = stop()
    share.wait(debtor)
  }
  const isBusy = (bytes: number) => {
    if (share === undefined || bytes >= BYTES) return false
    const cost = 1 - bytes / BYTES
    if (share.turn !== turn) {
      turn = share.turn
      isLate = share.isSpent
      late = 0
    }
    share.spend(cost)
    if (isLate) late += cost
    return late > IN_SPENT_TURN
  }
  return {
    begin() {
      earn(BY_REQUEST)
      ofBody = 0
      if (++bodies === 1 && stop !== undefined) share?.join(debtor)
    },
    take(bytes) {
      earn(bytes / BYTES - 1)
      ofBody++
      if (++count % AT_ONCE === 0) onMany?.()
      if (left < -most && !flooded) {
        flooded = true
        onFlood?.()
      }
      const busy = isBusy(bytes)
      if (left < ahead - most) return 'pieces'
      if (busy) return 'busy'
      if (left < 0) owe()
      return undefined
    },
    end() {
      if (--bodies === 0) share?.leave(debtor)
    }
  }
}

const PIECES = Symbol('pieces')

/** Those of a connection of HTTP/1.1, made when it brings its first body. */
export function piecesOf(socket: Socket, most: number, share: PieceShare): Pieces {
  const owner = socket as Socket & { [PIECES]?: Pieces }
  owner[PIECES] ??= createPieces({
    most,
    share,
    onMany: () => pauseForTurn(socket),
    stop: () => stopReading(socket)
  })
  return owner[PIECES]
}
