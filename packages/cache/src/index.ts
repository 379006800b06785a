export {
  type Cache,
  type CacheOptions,
  type CacheStats,
  createCache,
  type GetOptions,
  type Held,
  type Read
} from './cache.ts'
export { type Circuit, createCircuit } from './circuit.ts'
export type { CacheCodec } from './codec.ts'
export { type CacheLog, openRedis, type RedisLink, type RedisLinkOptions } from './redis.ts'
export { assertRedisUrl } from './redis-url.ts'
