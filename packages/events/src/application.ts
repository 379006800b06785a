import type { Envelope } from './headers.ts'
import type { Incoming, Subscription } from './subscription.ts'

/** An event that is to be applied; `key` is under which name the inbox is to know it. */
export type Application = {
  subscription: Subscription
  envelope: Envelope
  incoming: Incoming<never>
  key: string
  /** Of its payload. */
  bytes: number
}

/** What became of it. `marked`: its effect is there, and the inbox will have its id when this resolves. */
export type Applied = { outcome: 'applied' | 'duplicate'; marked?: Promise<void> }

/** What became of some; undefined where that is not known, and each has to be applied by itself. */
export type Outcomes = readonly Applied[] | undefined
