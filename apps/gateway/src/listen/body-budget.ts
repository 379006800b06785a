import type { Pieces, TooMany } from './pieces.ts'

/** What takes part of the memory for bodies: one request. */
export type BodyHold = {
  /** Takes in a part that has come, which may be put together with others; false: it is not to be kept, since the request was refused. */
  take(bytes: number, gathered?: boolean): boolean
  readonly refused: boolean
  /** A part that was taken in is here no more: its body passes through. */
  give(bytes: number): void
  /** The body is whole: it still counts, but what is done with it is not broken off. */
  complete(): void
  /** The request is over. */
  close(): void
}

export type BodyBudget = {
  /**
   * @param pieces what its connection may bring
   * @param refuse ends the request; nothing more of its body is kept from then on
   */
  open(address: string | undefined, pieces: Pieces, refuse: (why: Refused) => void): BodyHold
  /** Bytes that are held now. */
  readonly bytes: number
}

export type BodyBudgetOptions = {
  /** Bytes of all bodies together, and of those of one address. */
  total: number
  perAddress: number
}

/** Why a body is refused: there is no memory for it now, or it comes in too many pieces. */
export type Refused = 'memory' | TooMany

/** What each part costs beside its bytes: a buffer, and its place in lists. */
const PART = 512
/** The same where it is put together with others. */
const GATHERED = 64

/**
 * Bounds the bodies of requests that are in memory, from their first byte until their answer is given, or of those that pass through each part
 * until it was passed on: one by one they may be small enough and still be too many. Beyond the bound the newest are refused: of the address
 * that has too much, else of the one that has most.
 */
export function createBodyBudget(options: BodyBudgetOptions): BodyBudget {
  const { total: most, perAddress } = options
  const shares = new Map<string | undefined, Share>()
  let total = 0

  class Hold implements BodyHold {
    bytes = 0
    /** Those of them that are the body's own. */
    private came = 0
    refused = false
    /** It cannot be refused (any more). */
    settled = false
    private closed = false
    /** No more of it is expected. */
    private ended = false
    /** It was refused for its pieces. */
    private cut = false
    private readonly address: string | undefined
    private readonly pieces: Pieces
    private readonly refuse: (why: Refused) => void
    /** From its first byte. */
    private share: Share | undefined

    constructor(address: string | undefined, pieces: Pieces, refuse: (why: Refused) => void) {
      this.address = address
      this.pieces = pieces
      this.refuse = refuse
      pieces.begin()
    }

    take(bytes: number, gathered = false): boolean {
      const tooMany = this.pieces.take(bytes)
      if (this.closed) {
        // What is only dropped costs as much.
        if (tooMany !== undefined && !this.cut) this.reject(tooMany)
        return !this.refused
      }
      this.share ??= shareOf(this.address, this)
      const { share } = this
      const counted = bytes + (gathered ? GATHERED : PART)
      this.came += bytes
      this.bytes += counted
      share.bytes += counted
      total += counted
      if (tooMany !== undefined) this.reject(tooMany)
      while (share.address !== undefined && share.bytes > perAddress && share.refuseNewest());
      while (total > most && heaviest().refuseNewest());
      // Where all others are whole it is this one that is too much.
      if (total > most && !this.refused) this.reject('memory')
      return !this.refused
    }

    give(bytes: number): void {
      if (this.closed || this.share === undefined) return
      // What was put together came in parts that cost more than one.
      const counted = bytes >= this.came ? this.bytes : Math.floor((this.bytes * bytes) / this.came)
      this.came -= bytes
      this.bytes -= counted
      this.share.bytes -= counted
      total -= counted
    }

    complete(): void {
      this.settled = true
      this.end()
    }

    close(): void {
      if (this.closed) return
      this.closed = true
      this.settled = true
      this.end()
      if (this.share === undefined) return
      total -= this.bytes
      this.share.leave(this.bytes)
    }

    private end(): void {
      if (this.ended) return
      this.ended = true
      this.pieces.end()
    }

    reject(why: Refused): void {
      this.refused = true
      this.cut = why !== 'memory'
      this.close()
      this.refuse(why)
    }
  }

  /** The bodies of one address. */
  class Share {
    bytes = 0
    readonly address: string | undefined
    private open = 0
    /** In the order in which they came; those that are over are dropped now and then. */
    private holds: Hold[] = []

    constructor(address: string | undefined) {
      this.address = address
    }

    enter(hold: Hold): void {
      this.open++
      this.holds.push(hold)
      this.forget()
    }

    leave(bytes: number): void {
      this.bytes -= bytes
      if (--this.open === 0) shares.delete(this.address)
      else this.forget()
    }

    /** Those that are over would keep their requests in memory. */
    private forget(): void {
      if (this.holds.length > 1.5 * this.open) this.holds = this.holds.filter(({ settled }) => !settled)
    }

    /** False when none is left that can be refused. */
    refuseNewest(): boolean {
      let hold = this.holds.pop()
      while (hold?.settled === true) hold = this.holds.pop()
      hold?.reject('memory')
      return hold !== undefined
    }
  }

  function shareOf(address: string | undefined, hold: Hold): Share {
    let share = shares.get(address)
    if (share === undefined) {
      share = new Share(address)
      shares.set(address, share)
    }
    share.enter(hold)
    return share
  }

  function heaviest(): Share {
    let found: Share | undefined
    for (const share of shares.values()) if (found === undefined || share.bytes > found.bytes) found = share
    return found!
  }

  return {
    open: (address, pieces, refuse) => new Hold(address, pieces, refuse),
    get bytes() {
      return total
    }
  }
}
