import type { NatsConnection } from '@nats-io/transport-node'

/**
 * Tells when the connection to NATS breaks and when it is back, until the signal aborts. What was under way at a break is lost, and the
 * server that is found again may not be the one that was left: it may have lost its data or have come back with an older copy.
 */
export function watchConnection(nc: NatsConnection, signal: AbortSignal, tell: (what: 'lost' | 'back') => void): void {
  // The iterator can be stopped, which its type does not say; one that is only left is fed for ever.
  const statuses = nc.status() as ReturnType<NatsConnection['status']> & { stop(): void }
  if (signal.aborted) statuses.stop()
  signal.addEventListener('abort', () => statuses.stop(), { once: true })
  void (async () => {
    for await (const { type } of statuses) {
      if (type === 'disconnect') tell('lost')
      if (type === 'reconnect') tell('back')
    }
  })()
}
