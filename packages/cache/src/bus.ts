import type { RedisLink } from './redis.ts'

/** What processes tell each other: these tags are no longer true. */
export type Invalidation = { origin: string; tags: string[]; all: boolean }

const PING_MS = 5_000
const SILENCE_MS = 12_000

/**
 * Listens for the invalidations of other processes on a connection of its own, for ever. `onGap` is called whenever some may have
 * been missed: after the first and after each further subscription.
 */
export function listen(
  link: RedisLink,
  channel: string,
  on: { message(message: Invalidation): void; gap(): void }
): { listening(): boolean; close(): void } {
  const client = link.duplicate({ socketTimeout: SILENCE_MS })
  // Pub/sub is silent by nature: a ping tells silence from a dead connection.
  const ping = setInterval(() => {
    if (client.status === 'ready') client.ping().catch(noted)
  }, PING_MS).unref()

  let listening = false
  const begin = () => {
    listening = true
    on.gap()
  }
  client.on('ready', () => {
    client.subscribe(channel).then(begin, () => client.disconnect(true))
  })
  client.on('close', () => {
    listening = false
  })
  client.on('message', (_channel: string, text: string) => {
    const message = parse(text)
    if (message === undefined) on.gap()
    else on.message(message)
  })
  client.connect().catch(noted)

  return {
    listening: () => listening,
    close() {
      clearInterval(ping)
      client.disconnect()
    }
  }
}

function parse(text: string): Invalidation | undefined {
  try {
    const value = JSON.parse(text) as Invalidation
    return Array.isArray(value.tags) ? value : undefined
  } catch {
    return undefined
  }
}

/** The link logs each connection's errors already, and the client retries by itself. */
function noted(): void {}
