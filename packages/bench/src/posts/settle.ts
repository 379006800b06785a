import { setTimeout as delay } from 'node:timers/promises'
import { type ConsumerInfo, jetstreamManager } from '@nats-io/jetstream'
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
  // One that was not done is asked alone until it is: the list of all would cost a server with a hundred durables as much as what is measured.
  let late: { stream: string; name: string } | undefined
  await reach(async () => {
    if (late !== undefined && !isDone(await jsm.consumers.info(late.stream, late.name))) return false
    late = undefined
    for await (const { config } of jsm.streams.list()) {
      const stream = config.name
      if (stream.startsWith('KV_') || stream.startsWith('dlq_')) continue
      for await (const info of jsm.consumers.list(stream)) {
        if (isDone(info)) continue
        late = { stream, name: info.name }
        return false
      }
    }
    return true
  })

  function isDone({ num_pending, num_ack_pending }: ConsumerInfo): boolean {
    return num_pending + num_ack_pending === 0
  }

  async function reach(there: () => Promise<boolean>): Promise<void> {
    while (!(await there())) {
      if (performance.now() > until) throw new Error('what follows the posts is not done within 120 s')
      await delay(LOOK_MS)
    }
  }
}
