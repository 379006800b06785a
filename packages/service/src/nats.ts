import { type JetStreamClient, jetstream, jetstreamManager } from '@nats-io/jetstream'
import { connect, type NatsConnection } from '@nats-io/transport-node'

export type { NatsConnection } from '@nats-io/transport-node'

/** The oldest nats-server with what Skerry needs; older ones ignore the TTLs of key-value buckets without an error. */
export const OLDEST_NATS = '2.11.0'

/**
 * Connects and stays: reconnects for ever, every 250 ms and some, and notices a dead peer within 20 s. Inboxes are `_INBOX_<user>`, which
 * is all the user may subscribe to. Throws when there is no connection within `timeoutMs` (30 s) or the server is too old.
 */
export async function connectNats(options: {
  url: string
  user: string
  password: string
  name: string
  timeoutMs?: number
}): Promise<NatsConnection> {
  const until = performance.now() + (options.timeoutMs ?? 30_000)
  for (;;) {
    try {
      const nc = await connect({
        servers: options.url.split(','),
        user: options.user,
        pass: options.password,
        name: options.name,
        inboxPrefix: `_INBOX_${options.user}`,
        timeout: 5_000,
        maxReconnectAttempts: -1,
        reconnectTimeWait: 250,
        reconnectJitter: 250,
        pingInterval: 10_000,
        maxPingOut: 2,
        // A user is not refused for ever because a server came back before its configuration did.
        ignoreAuthErrorAbort: true
      })
      assertVersion(nc)
      return nc
    } catch (error) {
      if (error instanceof ServerTooOld) throw error
      if (performance.now() > until)
        throw new Error(`no connection to NATS at ${options.url}: ${(error as Error).message}`, { cause: error })
      await new Promise((resolve) => setTimeout(resolve, 250))
    }
  }
}

class ServerTooOld extends Error {}

function assertVersion(nc: NatsConnection): void {
  const version = nc.info?.version ?? '0.0.0'
  if (!atLeast(version, OLDEST_NATS)) {
    nc.close().catch(() => nc.isClosed())
    throw new ServerTooOld(
      `nats-server ${version} is too old: Skerry needs ${OLDEST_NATS} or newer (TTLs of key-value buckets)`
    )
  }
}

/** Whether a version like `2.11.3` or `2.12.0-preview.1` is `oldest` or newer. */
export function atLeast(version: string, oldest: string): boolean {
  const parts = (text: string) => text.split(/[.-]/, 3).map((part) => Number.parseInt(part, 10) || 0)
  const have = parts(version)
  const need = parts(oldest)
  for (let i = 0; i < 3; i++) if (have[i] !== need[i]) return (have[i] ?? 0) > (need[i] ?? 0)
  return true
}

/** JetStream options of a connection: without them the inboxes of ordered consumers would be outside of what the user may subscribe to. */
function optionsOf(nc: NatsConnection): { watcherPrefix: string } {
  const { inboxPrefix } = (nc as unknown as { options?: { inboxPrefix?: string } }).options ?? {}
  return { watcherPrefix: inboxPrefix ?? '_INBOX' }
}

/** A JetStream client whose watchers stay within the connection's inbox prefix. */
export function jetstreamOf(nc: NatsConnection): JetStreamClient {
  return jetstream(nc, optionsOf(nc))
}

/** The manager that goes with `jetstreamOf`; it asks nothing of the server by itself. */
export function managerOf(nc: NatsConnection) {
  return jetstreamManager(nc, { ...optionsOf(nc), checkAPI: false })
}

/** Calls `listener` each time the connection is back. Returns what ends that. */
export function onReconnect(nc: NatsConnection, listener: () => void): () => void {
  const statuses = nc.status() as ReturnType<NatsConnection['status']> & { stop?: () => void }
  const follow = async () => {
    for await (const status of statuses) if (status.type === 'reconnect') listener()
  }
  // The iteration ends with the connection; why it closed is told by nc.closed().
  follow().catch(() => statuses.stop?.())
  return () => statuses.stop?.()
}
