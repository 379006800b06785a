import { waitFor } from '@skerry/testing'
import type { Test } from 'tap'
import { type Cache, type CacheOptions, createCache, openRedis, type RedisLink } from '../src/index.ts'

export async function connectedLink(t: Test, url: string): Promise<RedisLink> {
  const link = openRedis({ url })
  t.teardown(() => link.close())
  await waitFor(() => link.connected())
  return link
}

let opened = 0

/** A cache as one process of many has it, subscribed already. */
export async function openCache(t: Test, link: RedisLink, options: Partial<CacheOptions> = {}): Promise<Cache> {
  const cache = createCache({ redis: link, prefix: 'x:', maxEntries: 1_000, ...options })
  t.teardown(() => cache.close())
  await waitFor(async () => ((await link.client.pubsub('NUMSUB', 'x:invalidate')) as [string, number])[1] > opened)
  opened++
  t.teardown(() => opened--)
  return cache
}
