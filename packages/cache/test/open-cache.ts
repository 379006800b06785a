import { waitFor } from '@skerry/testing'
import type { Test } from 'tap'
import { type Cache, type CacheOptions, createCache, openRedis, type RedisLink } from '../src/index.ts'

/** @param commandTimeoutMs less for tests of the silence of Redis; otherwise a busy machine must not look like a slow Redis */
export async function connectedLink(t: Test, url: string, commandTimeoutMs = 30_000): Promise<RedisLink> {
  const link = openRedis({ url, commandTimeoutMs })
  t.teardown(() => link.close())
  await waitFor(() => link.connected())
  return link
}

/** A cache as one process of many has it, listening already. */
export async function openCache(t: Test, link: RedisLink, options: Partial<CacheOptions> = {}): Promise<Cache> {
  const cache = createCache({ redis: link, prefix: 'x:', maxEntries: 1_000, ...options })
  t.teardown(() => cache.close())
  await waitFor(() => cache.stats().listening)
  return cache
}
