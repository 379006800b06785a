import { setTimeout as delay } from 'node:timers/promises'
import { jetstreamManager } from '@nats-io/jetstream'
import type { NatsConnection } from '@nats-io/transport-node'

const LIMIT_MS = 120_000
const LOOK_MS = 20

/**
 * Waits until everything that follows some posts is done: the last of them stands in a follower's feed, so it has been published, and no
 * consumer of any stream has an event that is waiting or not acknowledged.
 */
export async function settled(url: string, nc: NatsConnection, token: string, postId: string): Promise<void> {
  const until = performance.now() + LIMIT_MS
  const jsm = await jetstreamManager(nc)
  await reach(async () => {
    const answer = await fetch(`${url}/v1/feed?limit=100&fields=id`, { headers: { authorization: `Bearer ${token}` } })
    if (answer.status !== 200) throw new Error(`GET /v1/feed answered ${answer.status}`)
    const { items } = (await answer.json()) as { items: { id: string }[] }
    return items.some(({ id }) => id === postId)
  })
  await reach(async () => {
    for await (const { config } of jsm.streams.list()) {
      if (config.name.startsWith('KV_') || config.name.startsWith('dlq_')) continue
      for await (const { num_pending, num_ack_pending } of jsm.consumers.list(config.name))
        if (num_pending + num_ack_pending > 0) return false
    }
    return true
  })

  async function reach(there: () => Promise<boolean>): Promise<void> {
    while (!(await there())) {
      if (performance.now() > until) throw new Error('what follows the posts is not done within 120 s')
      await delay(LOOK_MS)
    }
  }
}
