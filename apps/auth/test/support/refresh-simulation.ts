import { randomOf } from '@skerry/testing'
import { judge, rotated, type TokenState, withLateRepeat } from '../../src/domain/refresh-rules.ts'

export const SECOND = 1_000
export const MINUTE = 60 * SECOND
export const HOUR = 60 * MINUTE
export const DAY = 24 * HOUR
const GRACE = MINUTE
const ACCESS = 10 * MINUTE

/** A session as the server has it; its tokens are numbers. */
class Server {
  state: TokenState = { tokenHash: '0' }
  endedAt: number | undefined

  /** The token that comes for a token, or undefined once the session has ended. */
  trade(token: number, at: number): number | undefined {
    if (this.endedAt !== undefined) return undefined
    const newest = Number(this.state.tokenHash)
    const verdict = judge(this.state, String(token), at, GRACE)
    if (verdict === 'stolen') {
      this.endedAt = at
      return undefined
    }
    if (verdict === 'late') this.state = { ...this.state, lateRepeats: withLateRepeat(this.state, new Date(at)) }
    if (verdict !== 'current') return newest
    const { lateRepeats } = this.state
    this.state = rotated(this.state, String(newest + 1), new Date(at), GRACE)
    if (lateRepeats !== undefined) this.state = { ...this.state, lateRepeats }
    return newest + 1
  }
}

/** Shares of requests, and of answers, that are lost: at home (4 of 5 times), in a train, in a cellar (1 of 20). */
const NETWORKS = [
  { upTo: 0.8, lost: 0.002 },
  { upTo: 0.95, lost: 0.1 },
  { upTo: 1, lost: 0.35 }
]
/** When a request is sent again after it got no answer: at once by the SDK, later when somebody looks at the screen again. */
const AGAIN = [0.5 * SECOND, 1 * SECOND, 2 * SECOND, 45 * SECOND, 90 * SECOND, 4 * MINUTE]

/** What happens when, in order of time. */
class Agenda {
  /** The last is the next. */
  private readonly events: { at: number; run(): void }[] = []

  plan(at: number, run: () => void): void {
    let low = 0
    let high = this.events.length
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.events[middle]!.at > at) low = middle + 1
      else high = middle
    }
    this.events.splice(low, 0, { at, run })
  }

  runUntil(ended: () => boolean): void {
    for (let next = this.events.pop(); next !== undefined && !ended(); next = this.events.pop()) next.run()
  }
}

/** One phone for some days. `thief` says when somebody who has copied the token uses what they have. */
export function simulate(options: {
  seed: number
  days: number
  thief?: 'races' | 'waits' | 'alternates' | 'mirrors'
}): { endedAt: number | undefined; stolenAt: number | undefined; refreshes: number } {
  const random = randomOf(`phone ${options.seed}`)
  const server = new Server()
  const stored = { token: 0, accessUntil: ACCESS }
  let lastOwner = 0
  let stolenAt: number | undefined
  let stolen: number | undefined
  let refreshes = 0
  const agenda = new Agenda()
  const plan = agenda.plan.bind(agenda)

  /** One process of the phone that sends what it has read, until an answer arrives. */
  function refresh(token: number, at: number, lost: number, attempt = 0): void {
    const arrives = random() >= lost
    const answer = arrives ? server.trade(token, at) : undefined
    if (arrives) refreshes++
    if (answer !== undefined && random() >= lost) {
      stored.token = answer
      stored.accessUntil = at + ACCESS
      lastOwner = at
      if (stolen !== undefined && options.thief === 'mirrors')
        plan(at + 20 * SECOND, () => thiefTrades(at + 20 * SECOND))
      return
    }
    const pause = AGAIN[attempt]
    if (pause !== undefined) plan(at + pause, () => refresh(stored.token, at + pause, lost, attempt + 1))
  }

  function use(at: number): void {
    if (at < stored.accessUntil) return
    const dice = random()
    const { lost } = NETWORKS.find(({ upTo }) => dice < upTo)!
    const token = stored.token
    refresh(token, at, lost)
    // A widget or a notification service of the same phone has read the same token, and its network is slow.
    if (random() < 0.02) {
      const later = at + random() * 40 * SECOND
      plan(later, () => refresh(token, later, lost, AGAIN.length))
    }
  }

  function thiefTrades(at: number): void {
    if (stolen === undefined) return
    const answer = server.trade(stolen, at)
    if (answer !== undefined) stolen = answer
  }

  for (let day = 0; day < options.days; day++) {
    for (let uses = Math.floor(random() * 12); uses >= 0; uses--) {
      const begin = day * DAY + 7 * HOUR + random() * 16 * HOUR
      for (let minutes = Math.floor(random() * 3); minutes >= 0; minutes--)
        plan(begin + minutes * ACCESS, () => use(begin + minutes * ACCESS))
    }
  }
  if (options.thief !== undefined) {
    const { thief } = options
    const from = 2 * DAY + random() * DAY
    plan(from, () => {
      stolen = stored.token
      stolenAt = from
    })
    const end = options.days * DAY
    if (thief === 'races') for (let at = from + SECOND; at < end; at += ACCESS) plan(at, () => thiefTrades(at))
    if (thief === 'alternates') {
      for (let at = from + 5 * MINUTE; at < end; at += 30 * MINUTE) plan(at, () => thiefTrades(at))
    }
    if (thief === 'waits')
      for (let at = from + HOUR; at < end; at += 10 * MINUTE) {
        plan(at, () => {
          if (at - lastOwner > 7 * HOUR) thiefTrades(at)
        })
      }
  }
  agenda.runUntil(() => server.endedAt !== undefined)
  return { endedAt: server.endedAt, stolenAt, refreshes }
}
