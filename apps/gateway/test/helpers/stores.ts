import type { Test } from 'tap'

export type TestStores = { natsUrl: string; natsUser: string; natsPassword: string; redisUrl: string; redisPrefix: string }

let n = 0
export async function openStores(_t: Test): Promise<TestStores> {
  return { natsUrl: 'nats://127.0.0.1:14222', natsUser: 'test0', natsPassword: 'test0', redisUrl: 'redis://127.0.0.1:16379', redisPrefix: `g${process.pid}-${n++}:` }
}
