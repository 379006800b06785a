import { waitFor } from '@skerry/testing'
import type { Test } from 'tap'
import { type Cache, type CacheOptions, createCache, openRedis, type RedisLink } from '../src/index.ts'

/** @param patient for tests of what Redis says rather than of its silence: a busy machine must not look like a slow Redis */
export async function connectedLink(t: Test, url: string, patient = true): Promise<RedisLink> {
  const link = openRedis({ url, ...(patient ? { commandTimeoutMs: 10_000 } : {}) })
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
