/** What is paid at least for one that waits: so that few of those that may bring many read on in the same turn. */
const LEAST = 128

/** A connection that brings bodies in small pieces, or may do so. */
export type Debtor = {
  /** The share of this turn is spent: reads no more, and waits. */
  stop(): void
  /** Reads on. Answers what it owed, in pieces. */
  pay(): number
}

/**
 * How many pieces the bodies of all connections together may come in, in one turn of the event loop. Each connection alone may bring more than it
 * has earned; hundreds of them that do so at once would keep the loop from everybody else.
 */
export type PieceShare = {
  /** A piece of this cost has come. */
  spend(cost: number): void
  /** This turn has nothing left. */
  readonly isSpent: boolean
  /** A connection can be stopped while a body of it is under way. */
  join(debtor: Debtor): void
  leave(debtor: Debtor): void
  /** Has a connection that is no longer read wait until what it owes is paid, in the order in which they came. */
  wait(debtor: Debtor): void
  /** Counts the turns in which something was brought. */
  readonly turn: number
}

/**
 * Those that wait are paid of what a turn has left, one after the other, and read on then. There are no more of them than connections, and each
 * step costs the same however many wait.
 */
export function createPieceShare(perTurn: number): PieceShare {
  const joined = new Set<Debtor>()
  const waiting = new Set<Debtor>()
  let spent = 0
  let turn = 0
  let counting = false

  const count = () => {
    if (counting) return
    counting = true
    setImmediate(end)
  }

  /** The end of a turn: what it has not spent goes to those who wait. */
  function end(): void {
    counting = false
    let left = Math.max(LEAST, perTurn - spent)
    spent = 0
    turn++
    for (const debtor of waiting) {
      if (left <= 0) break
      waiting.delete(debtor)
      left -= Math.max(LEAST, debtor.pay())
    }
    if (waiting.size > 0) count()
  }

  return {
    spend(cost) {
      count()
      const before = spent
      spent += cost
      if (spent > perTurn && before <= perTurn) for (const debtor of joined) debtor.stop()
    },
    get isSpent() {
      return spent > perTurn
    },
    join: (debtor) => void joined.add(debtor),
    leave: (debtor) => void joined.delete(debtor),
    wait(debtor) {
      waiting.add(debtor)
      count()
    },
    get turn() {
      return turn
    }
  }
}
