/** What takes part of the memory for bodies: one request. */
export type BodyHold = {
  /** Takes in a part that has come; false: it is not to be kept, since the request was refused. */
  take(bytes: number): boolean
  readonly refused: boolean
  /** A part that was taken in is here no more: its body passes through. */
  give(bytes: number): void
  /** The body is whole: it still counts, but what is done with it is not broken off. */
  complete(): void
  /** The request is over. */
  close(): void
}

export type BodyBudget = {
  /** @param refuse ends the request; nothing more of its body is kept from then on */
  open(address: string | undefined, refuse: (why: Refused) => void): BodyHold
  /** Bytes that are held now. */
  readonly bytes: number
}

export type BodyBudgetOptions = {
  /** Bytes of all bodies together, and of those of one address. */
  total: number
  perAddress: number
}

/** Why a body is refused: there is no memory for it now, or it comes in more parts than any body needs. */
export type Refused = 'memory' | 'parts'

/** What each part costs beside its bytes: a buffer, and its place in lists. */
const PART = 512
/** Chunks of one byte cost as much as others. A megabyte comes in some hundreds of packets. */
const MOST_PARTS = 8_192

/**
 * Bounds the bodies of requests that are in memory, from their first byte until their answer is given, or those that pass through until each part
 * was passed on: one by one they may be small enough
 * and still be too many. Beyond the bound the newest are refused: of the address that has too much, else of the one that has most.
 */
export function createBodyBudget(options: BodyBudgetOptions): BodyBudget {
  const { total: most, perAddress } = options
  const shares = new Map<string | undefined, Share>()
  let total = 0

  class Hold implements BodyHold {
    bytes = 0
    refused = false
    /** It cannot be refused (any more). */
    settled = false
    private closed = false
    private readonly address: string | undefined
    private readonly refuse: (why: Refused) => void
    private parts = 0
    /** From its first byte. */
    private share: Share | undefined

    constructor(address: string | undefined, refuse: (why: Refused) => void) {
      this.address = address
      this.refuse = refuse
    }

    take(bytes: number): boolean {
      if (this.closed) return !this.refused
      this.share ??= shareOf(this.address, this)
      const { share } = this
      const counted = bytes + PART
      this.bytes += counted
      share.bytes += counted
      total += counted
      if (++this.parts > MOST_PARTS) this.reject('parts')
      while (share.address !== undefined && share.bytes > perAddress && share.refuseNewest());
      while (total > most && heaviest().refuseNewest());
      // Where all others are whole it is this one that is too much.
      if (total > most && !this.refused) this.reject('memory')
      return !this.refused
    }

    give(bytes: number): void {
      if (this.closed || this.share === undefined) return
      const counted = bytes + PART
      this.parts--
      this.bytes -= counted
      this.share.bytes -= counted
      total -= counted
    }

    complete(): void {
      this.settled = true
    }

    close(): void {
      if (this.closed) return
      this.closed = true
      this.settled = true
      if (this.share === undefined) return
      total -= this.bytes
      this.share.leave(this.bytes)
    }

    reject(why: Refused): void {
      this.refused = true
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
      if (this.holds.length > 2 * this.open) this.holds = this.holds.filter(({ settled }) => !settled)
    }

    leave(bytes: number): void {
      this.bytes -= bytes
      if (--this.open === 0) shares.delete(this.address)
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
    open: (address, refuse) => new Hold(address, refuse),
    get bytes() {
      return total
    }
  }
}
