import { jetstream, jetstreamManager } from '@nats-io/jetstream'
import { Kvm } from '@nats-io/kv'
import { connect, type NatsConnection } from '@nats-io/transport-node'
import type { Stores } from '../../src/index.ts'

type Tap = { teardown(work: () => Promise<unknown>): unknown }

/** A connection as an app makes it. */
export async function connectAs(t: Tap, stores: Stores, app: string) {
  const { NATS_URL, NATS_USER, NATS_PASSWORD } = stores.envFor(app)
  const nc: NatsConnection = await connect({
    servers: NATS_URL!,
    user: NATS_USER!,
    pass: NATS_PASSWORD!,
    inboxPrefix: `_INBOX_${app}`,
    timeout: 30_000
  })
  t.teardown(() => nc.close())
  const options = { watcherPrefix: `_INBOX_${app}` }
  return {
    nc,
    js: jetstream(nc, options),
    jsm: await jetstreamManager(nc, { ...options, checkAPI: false }),
    kvm: new Kvm(jetstream(nc, options))
  }
}
