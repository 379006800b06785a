import type { Socket } from 'node:net'

/** One exchange in so many is kept, and so many of them: requests come in several protocols and go several ways. */
const EVERY = 256
const KEPT = 8

/** What of an exchange is looked at. */
type Over = { readonly body: Buffer | null; readonly req: { readonly socket: Socket } }

const kept: { readonly exchange: Over; readonly handle: unknown }[] = []
let closed = 0

/**
 * Keeps an exchange that is over, now and then. V8 throws optimised code away when the last object of a shape that the code knows is
 * collected, which a quiet gateway does: nothing is under way, so a few seconds later nothing was optimised any more, and the first 30,000
 * requests of the next burst cost twice as much (docs/gateway-design.md has the figures). What an exchange refers to has the shapes of all
 * that is made for one: requests, answers, attempts, connections and their sockets. Those with a body are not kept: they may be large. Nor is one
 * whose client has gone, which may hold a part of one.
 */
export function keepSpecimen(exchange: Over): void {
  if (closed++ % EVERY !== 0 || exchange.body !== null) return
  const { _handle: handle } = exchange.req.socket as Socket & { _handle?: unknown }
  kept[((closed / EVERY) % KEPT) | 0] = { exchange, handle }
}
