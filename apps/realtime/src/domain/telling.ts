import { wireSubject } from '@skerry/contracts'
import type { Incoming } from '@skerry/events'
import { type Audience, LIVE_RULES, liveBody } from './messages.ts'

export type LiveMessage = { id: string; type: string; body: string }

/** An event as it is told, and to whom. `orderKey`: in whose order it comes. */
export type Telling = { message: LiveMessage; audience: Audience; orderKey: string }

const RULES = new Map(LIVE_RULES.map((rule) => [wireSubject(rule.event), rule]))

/** How an event is told, and to whom. */
export function tellingOf({ id, subject, orderKey, data }: Incoming<unknown>, messageBytes: number): Telling {
  const rule = RULES.get(subject)
  if (rule === undefined) throw new Error(`nobody is told of ${subject}`)
  const message = { id, type: rule.type, body: liveBody(id, data as object, messageBytes) }
  return { message, audience: rule.audience(data as never), orderKey }
}
