import type { Conversation } from './conversation.ts'
import { type Observed, SEEN_HEADER, type Seen } from './observers.ts'
import { readStrictly, type StrictRequest } from './strict-http.ts'

/** Judges conversations with a door against what the services behind it saw. */
export type Judge = {
  /** What was wrong with one conversation, in words; and how many of its requests came through. */
  judge(sent: Buffer, talk: Conversation): { faults: string[]; accepted: number }
  /** Requests that a service saw and no answer on any connection was for. */
  unanswered(): Seen[]
}

/**
 * A conversation is right when its answers are one for each request that a strict reader sees in what was sent, in that order, each
 * either a refusal or the answer of a service that saw exactly that request; when at most one refusal follows them; and when the
 * server has closed the connection. All is well when besides no service saw a request that nobody was answered for.
 */
export function createJudge(observed: Observed): Judge {
  const answered = new Set<number>()

  function judge(sent: Buffer, talk: Conversation) {
    const faults = talk.stuck ? ['neither answered nor closed'] : []
    // The preface of HTTP/2 (RFC 9113, 3.4). What comes behind it is refused in frames, or as the beginning of a request.
    if (isPreface(sent) && talk.answers.every(({ status, headers }) => status === 400 && !headers.has(SEEN_HEADER)))
      return { faults, accepted: 0 }
    const strict = readStrictly(sent).requests
    let accepted = 0
    for (const [i, { status, headers }] of talk.answers.entries()) {
      const number = headers.get(SEEN_HEADER)
      if (number === undefined) {
        if (i < strict.length) continue
        // A request may be answered by its head, and its body turn out to be broken afterwards.
        if (i > strict.length || i < talk.answers.length - 1)
          faults.push(`answer ${i + 1} is ${status}, for no request there is`)
        continue
      }
      accepted++
      const seen = observed.seen[Number(number)]
      if (seen === undefined) faults.push(`answer ${i + 1} is of no service`)
      else if (answered.has(Number(number))) faults.push(`two answers for one request of a service: ${tell(seen)}`)
      else if (!same(seen, strict[i])) faults.push(`sent ${tell(strict[i])}, seen ${tell(seen)}`)
      answered.add(Number(number))
    }
    // To a CONNECT Node only closes.
    if (talk.answers.length === 0 && !sent.includes('CONNECT')) faults.push('closed without an answer')
    if (talk.rest !== '') faults.push(`no answer, or half of one: ${JSON.stringify(talk.rest.slice(0, 200))}`)
    return { faults, accepted }
  }

  return { judge, unanswered: () => observed.seen.filter((_seen, number) => !answered.has(number)) }
}

function isPreface(sent: Buffer): boolean {
  return sent.toString('latin1', 0, 3) === 'PRI'
}

function same(seen: Seen, sent: StrictRequest | undefined): boolean {
  return sent !== undefined && seen.method === sent.method && seen.target === sent.target && seen.body === sent.body
}

function tell(request: StrictRequest | undefined): string {
  if (request === undefined) return 'nothing'
  return `${request.method} ${request.target} with ${JSON.stringify(request.body.slice(0, 120))}`
}
