export { type Cache, type CacheOptions, type CacheStats, createCache, type GetOptions } from './cache.ts'
export { type Circuit, createCircuit } from './circuit.ts'
export { type CacheLog, openRedis, type RedisLink, type RedisLinkOptions } from './redis.ts'
