import type { Envelope } from './headers.ts'
import type { Incoming, Subscription } from './subscription.ts'

/** An event that is to be applied; `key` is under which name the inbox is to know it. */
export type Application = { subscription: Subscription; envelope: Envelope; incoming: Incoming<never>; key: string }

/** What became of it; undefined where that is not known, and it has to be applied by itself. */
export type Outcome = 'applied' | 'duplicate' | undefined
