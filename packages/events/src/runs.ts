import type { JsMsg } from '@nats-io/jetstream'
import { wireSubject } from '@skerry/contracts'
import { type Batches, MANY } from './batches.ts'
import { typeOf } from './partitions.ts'
import type { Subscription } from './subscription.ts'

/** What waits of each key, in order. */
export type Runs = {
  add(key: string, message: JsMsg): void
  /** Which handler takes what is next of a key; undefined: nothing waits, or nothing handles it. */
  nextOf(key: string): Subscription['handle'] | undefined
  /** What may be applied next of a key: one message, or several that their handler takes at once. Empty: nothing waits any more. */
  take(key: string): JsMsg[]
}

export function createRuns(subscriptions: readonly Subscription[], { mostOf }: Pick<Batches, 'mostOf'>): Runs {
  const takers = new Map(subscriptions.map((s) => [wireSubject(s.event), s.handle]))
  const waiting = new Map<string, JsMsg[]>()
  const takerOf = (message: JsMsg) => takers.get(typeOf(message.subject))

  return {
    add(key, message) {
      const before = waiting.get(key)
      if (before === undefined) waiting.set(key, [message])
      else before.push(message)
    },
    nextOf(key) {
      const first = waiting.get(key)?.[0]
      return first === undefined ? undefined : takerOf(first)
    },
    take(key) {
      const all = waiting.get(key) ?? []
      const [first] = all
      if (first === undefined) return []
      const taker = takerOf(first)
      const most = taker === undefined ? 1 : Math.min(all.length, mostOf(taker))
      let count = 1
      let bytes = first.data.length
      for (; count < most; count++) {
        const next = all[count]!
        bytes += next.data.length
        if (bytes > MANY.bytes || takerOf(next) !== taker) break
      }
      if (count === all.length) waiting.delete(key)
      return all.splice(0, count)
    }
  }
}
